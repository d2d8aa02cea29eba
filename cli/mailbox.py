"""How ``ballast answer`` reaches a run that waits in another terminal: files in the state folder.

::

    the waiting process                     escalations/                    ballast answer
    post(notice) ──────────────────────▶ <id>.json  (locked) ────────────▶ find(id)
    take(id) ◀───────────────────────── <id>.answer.json ◀──────────────── drop(id, answer)
    report(result) ────────────────────▶ <id>.<nonce>.result.json ───────▶ wait_for(receipt)
    close(id): all of them go

The lock on the notice is the proof that somebody waits: the kernel takes it away when the
process dies, however it dies. Only files that are complete ever appear under these names.
"""

import fcntl
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ballast.errors import BallastError, InvalidInput
from cli.journal import private_folder, write_whole

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


class NobodyWaits(BallastError):
    """No living process waits for this escalation's answer."""


@dataclass(frozen=True)
class Notice:
    """An escalation that waits: ``message`` is the body of the queue's message."""

    escalation_id: str
    message: dict[str, Any]


class Mailbox:
    """The escalations of one state folder."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._folder = home / "escalations"
        self._held: dict[str, IO[str]] = {}

    # The side of the process that waits.

    def post(self, notice: Notice) -> None:
        """Say that this process waits for an answer to ``notice``. Raises ``InvalidInput``."""
        if not _ID.fullmatch(notice.escalation_id):
            raise InvalidInput(f"{notice.escalation_id!r} cannot be the name of a file.")
        private_folder(self._home)
        private_folder(self._folder)
        file = self._notice(notice.escalation_id)
        if _is_locked(file):
            raise InvalidInput(f"{notice.escalation_id}: another process in {self._home} waits for its answer already.")
        made = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
        held = made.open("w", encoding="utf-8")
        fcntl.flock(held, fcntl.LOCK_EX)
        json.dump(notice.message, held)
        held.flush()
        os.replace(made, file)
        self._held[notice.escalation_id] = held

    def take(self, escalation_id: str) -> dict[str, Any] | None:
        """Return the answer that somebody dropped, or None; it may be read once."""
        file = self._answer(escalation_id)
        try:
            text = file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            file.unlink(missing_ok=True)
            return None
        return answer

    def report(self, escalation_id: str, answer: dict[str, Any], result: dict[str, Any]) -> None:
        """Tell the sender of ``answer`` what came of it, and make room for another one."""
        nonce = str(answer.get("nonce", ""))
        self._answer(escalation_id).unlink(missing_ok=True)
        if _ID.fullmatch(nonce):
            write_whole(self._result(escalation_id, nonce), json.dumps(result))

    def close(self, escalation_id: str) -> None:
        """No longer wait for this escalation. A result that was not read yet stays."""
        held = self._held.pop(escalation_id, None)
        if held is not None:
            self._notice(escalation_id).unlink(missing_ok=True)
            self._answer(escalation_id).unlink(missing_ok=True)
            held.close()

    def close_all(self) -> None:
        """No longer wait for anything."""
        for escalation_id in list(self._held):
            self.close(escalation_id)

    # The side of the person who answers.

    def waiting(self) -> list[Notice]:
        """Return the escalations that a living process waits for."""
        return sorted(self._living(), key=lambda notice: notice.escalation_id)

    def find(self, prefix: str) -> Notice:
        """Return the waiting escalation with that id, or the only one that starts so.

        Raises ``NobodyWaits``, and ``InvalidInput`` where more than one does.
        """
        waiting = self.waiting()
        found = [notice for notice in waiting if notice.escalation_id == prefix] or [
            notice for notice in waiting if prefix and notice.escalation_id.startswith(prefix)
        ]
        if not found:
            known = ", ".join(notice.escalation_id for notice in waiting) or "none at all"
            raise NobodyWaits(
                f"No process waits for an answer to {prefix!r} in {self._folder} (waiting: {known}). "
                "It was answered, its run ended, or it was started in another folder: run `ballast answer` there, "
                "or set BALLAST_HOME."
            )
        if len(found) > 1:
            raise InvalidInput(f"{prefix!r} fits {len(found)} waiting escalations. Type more of the id.")
        return found[0]

    def drop(self, escalation_id: str, answer: dict[str, Any]) -> Path:
        """Send an answer; return the file in which its result will appear. Raises ``InvalidInput``."""
        nonce = secrets.token_hex(8)
        file = self._answer(escalation_id)
        made = file.with_name(f".{file.name}.{nonce}")
        write_whole(made, json.dumps({**answer, "nonce": nonce}))
        try:
            os.link(made, file)  # unlike a rename, this fails where somebody was faster
        except FileExistsError:
            raise InvalidInput(
                f"{escalation_id}: another answer is on its way. `ballast answer` shows whether it still waits."
            ) from None
        finally:
            made.unlink(missing_ok=True)
        return self._result(escalation_id, nonce)

    def wait_for(
        self, escalation_id: str, receipt: Path, *, timeout_s: float, sleep: Callable[[float], None] = time.sleep
    ) -> dict[str, Any]:
        """Return what came of an answer. Raises ``NobodyWaits`` where the process died or is silent."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            alive = _is_locked(self._notice(escalation_id))
            if receipt.exists():
                result = json.loads(receipt.read_text(encoding="utf-8"))
                receipt.unlink(missing_ok=True)
                return dict(result)
            if not alive:
                break
            sleep(0.05)
        self._answer(escalation_id).unlink(missing_ok=True)
        raise NobodyWaits(
            f"{escalation_id}: the waiting process did not confirm the answer, so take it as not given. "
            "`ballast trace` shows what became of the run."
        )

    def _living(self) -> Iterator[Notice]:
        for file in self._folder.glob("*.json"):
            if not _ID.fullmatch(file.stem) or not _is_locked(file):
                continue  # an answer or a result, or what a killed process left behind
            try:
                message = json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            yield Notice(file.stem, message if isinstance(message, dict) else {})

    def _notice(self, escalation_id: str) -> Path:
        return self._folder / f"{escalation_id}.json"

    def _answer(self, escalation_id: str) -> Path:
        return self._folder / f"{escalation_id}.answer.json"

    def _result(self, escalation_id: str, nonce: str) -> Path:
        return self._folder / f"{escalation_id}.{nonce}.result.json"


def _is_locked(file: Path) -> bool:
    """Say whether a living process holds ``file``."""
    try:
        with file.open(encoding="utf-8") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False
