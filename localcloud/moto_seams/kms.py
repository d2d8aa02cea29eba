"""moto's KMS keys: of the kind that the template describes, and without key pairs for secret keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from localcloud.moto_seams.replaced import replaced


@contextmanager
def no_key_pairs_for_secret_keys() -> Iterator[None]:
    """Generate a key pair only for asymmetric keys: moto generates an RSA key, in 0.1 s, for every key.

    Relies on ``moto.kms.models`` calling ``generate_private_key`` through its own global.
    """
    from moto.kms import models
    from moto.kms.utils import generate_private_key

    def generate(key_spec: str) -> Any:
        secret = key_spec == "SYMMETRIC_DEFAULT" or key_spec.startswith("HMAC_")
        return None if secret else generate_private_key(key_spec)

    with replaced(models, "generate_private_key", generate):
        yield


@contextmanager
def keys_as_the_template_says() -> Iterator[None]:
    """Create a stack's key with the template's KeySpec and KeyUsage: moto makes all keys for encryption.

    Relies on ``Key.create_from_cloudformation_json`` making a stack's keys, and on ``create_key`` of their backend.
    """
    from moto.kms.models import Key, kms_backends

    def create(_: Any, __: str, cloudformation_json: Any, account_id: str, region_name: str, /, **___: Any) -> Any:
        properties = cloudformation_json["Properties"]
        key = kms_backends[account_id][region_name].create_key(
            policy=properties["KeyPolicy"],
            key_usage=properties.get("KeyUsage", "ENCRYPT_DECRYPT"),
            key_spec=properties.get("KeySpec", "SYMMETRIC_DEFAULT"),
            description=properties.get("Description", ""),
            tags=properties.get("Tags", []),
        )
        key.key_rotation_status = properties.get("EnableKeyRotation", False)
        key.enabled = properties.get("Enabled", True)
        return key

    with replaced(Key, "create_from_cloudformation_json", classmethod(create)):
        yield
