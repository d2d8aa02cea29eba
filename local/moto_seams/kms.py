"""moto's keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from local.moto_seams.replaced import replaced


@contextmanager
def no_key_pairs_for_secret_keys() -> Iterator[None]:
    """Make a pair only for a key that is one: moto makes an RSA key, in a tenth of a second, for every key.

    Relies on ``moto.kms.models`` calling ``generate_private_key`` through its own global.
    """
    from moto.kms import models
    from moto.kms.utils import generate_private_key

    def generate(key_spec: str) -> Any:
        secret = key_spec == "SYMMETRIC_DEFAULT" or key_spec.startswith("HMAC_")
        return None if secret else generate_private_key(key_spec)

    with replaced(models, "generate_private_key", generate):
        yield
