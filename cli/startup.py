"""How the command's process starts and ends: quickly, and by every usual signal in the same way."""

import atexit
import gc
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collecting() -> Iterator[None]:
    """Do not look for garbage while modules are imported and the cloud is built: nearly all of it stays."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def end_quickly() -> None:
    """At the end of the process, do not search for garbage what the kernel takes back anyway: that takes a second."""
    atexit.register(gc.freeze)


@contextmanager
def interruptible() -> Iterator[None]:
    """Within the block, what asks the process to end is Ctrl-C: SIGTERM (`docker stop`, a CI's timeout) and SIGHUP.

    A signal that whoever started the process wants ignored (`nohup`) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():  # Python takes handlers there only
        yield
        return
    taken = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is signal.SIG_DFL]
    for one in taken:
        signal.signal(one, signal.default_int_handler)
    try:
        yield
    finally:
        for one in taken:
            signal.signal(one, signal.SIG_DFL)
