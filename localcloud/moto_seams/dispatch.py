"""moto's way from a request to the method that answers it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from localcloud.moto_seams.replaced import replaced


@contextmanager
def methods_looked_up_once() -> Iterator[None]:
    """Let moto look once for what methods a class has, and not for every request.

    Relies on ``moto.core.responses`` calling ``method_names_from_class`` through its own global.
    """
    from moto.core import responses
    from moto.core.utils import method_names_from_class

    with replaced(responses, "method_names_from_class", cache(method_names_from_class)):
        yield
