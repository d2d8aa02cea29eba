"""Files in the state folder through which ``ballast answer`` reaches a run that waits in another terminal.

::

    the waiting process                     escalations/                    ballast answer
    post(escalation) ──────────────────▶ <id>.json  (locked) ────────────▶ find(id)
    take(id) ◀───────────────────────── <id>.answer.json ◀──────────────── send(id, answer)
    report(result) ────────────────────▶ <id>.<nonce>.result.json ───────▶ wait_for(receipt)
    close(id): removes them all

The lock on that file proves that a process waits: the kernel releases it when the process dies,
however it dies. Only complete files appear under these names.
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
from cli.saved_runs import private_folder, write_whole

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


class NobodyWaits(BallastError):
    """No living process waits for an answer to this escalation."""


@dataclass(frozen=True)
class WaitingEscalation:
    """A waiting escalation; ``message`` is the body of its SQS message."""

    escalation_id: str
    message: dict[str, Any]


class EscalationFiles:
    """The escalations of one state folder."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._folder = home / "escalations"
        self._held: dict[str, IO[str]] = {}

    # The waiting process calls these:

    def post(self, escalation: WaitingEscalation) -> None:
        """Announce that this process waits for an answer to ``escalation``. Raises ``InvalidInput``."""
        if not _ID.fullmatch(escalation.escalation_id):
            raise InvalidInput(f"{escalation.escalation_id!r} cannot be the name of a file.")
        private_folder(self._home)
        private_folder(self._folder)
        file = self._file_of(escalation.escalation_id)
        if _is_locked(file):
            raise InvalidInput(
                f"{escalation.escalation_id}: another process in {self._home} already waits for its answer."
            )
        made = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
        held = made.open("w", encoding="utf-8")
        fcntl.flock(held, fcntl.LOCK_EX)
        json.dump(escalation.message, held)
        held.flush()
        os.replace(made, file)
        self._held[escalation.escalation_id] = held

    def take(self, escalation_id: str) -> dict[str, Any] | None:
        """Return the answer that somebody sent, or None."""
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
        """Tell the sender of ``answer`` the result, and make room for another answer."""
        nonce = str(answer.get("nonce", ""))
        self._answer(escalation_id).unlink(missing_ok=True)
        if _ID.fullmatch(nonce):
            write_whole(self._result(escalation_id, nonce), json.dumps(result))

    def close(self, escalation_id: str) -> None:
        """Stop waiting for this escalation. A result that was not read yet stays."""
        held = self._held.pop(escalation_id, None)
        if held is not None:
            self._file_of(escalation_id).unlink(missing_ok=True)
            self._answer(escalation_id).unlink(missing_ok=True)
            held.close()

    def close_all(self) -> None:
        """No longer wait for anything."""
        for escalation_id in list(self._held):
            self.close(escalation_id)

    # The side of the person who answers.

    def waiting(self) -> list[WaitingEscalation]:
        """Return the escalations that a living process waits for."""
        return sorted(self._living(), key=lambda escalation: escalation.escalation_id)

    def find(self, prefix: str) -> WaitingEscalation:
        """Return the waiting escalation with that id, or the only one that starts so.

        Raises ``NobodyWaits``, or ``InvalidInput`` if several match.
        """
        waiting = self.waiting()
        found = [escalation for escalation in waiting if escalation.escalation_id == prefix] or [
            escalation for escalation in waiting if prefix and escalation.escalation_id.startswith(prefix)
        ]
        if not found:
            known = ", ".join(escalation.escalation_id for escalation in waiting) or "none at all"
            raise NobodyWaits(
                f"No process waits for an answer to {prefix!r} in {self._folder} (waiting: {known}). "
                "It was answered, its run has ended, or it was started in another folder: run `ballast answer` there, "
                "or set BALLAST_HOME."
            )
        if len(found) > 1:
            raise InvalidInput(f"{prefix!r} matches {len(found)} waiting escalations. Type more of the id.")
        return found[0]

    def send(self, escalation_id: str, answer: dict[str, Any]) -> Path:
        """Send an answer; return the file in which its result will appear. Raises ``InvalidInput``."""
        nonce = secrets.token_hex(8)
        file = self._answer(escalation_id)
        made = file.with_name(f".{file.name}.{nonce}")
        write_whole(made, json.dumps({**answer, "nonce": nonce}))
        try:
            os.link(made, file)  # unlike a rename, this fails if somebody was faster
        except FileExistsError:
            raise InvalidInput(
                f"{escalation_id}: another answer is being delivered. `ballast answer` shows whether it still waits."
            ) from None
        finally:
            made.unlink(missing_ok=True)
        return self._result(escalation_id, nonce)

    def wait_for(
        self, escalation_id: str, receipt: Path, *, timeout_s: float, sleep: Callable[[float], None] = time.sleep
    ) -> dict[str, Any]:
        """Return the result of an answer. Raises ``NobodyWaits`` if the process died or does not respond."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            alive = _is_locked(self._file_of(escalation_id))
            if receipt.exists():
                result = json.loads(receipt.read_text(encoding="utf-8"))
                receipt.unlink(missing_ok=True)
                return dict(result)
            if not alive:
                break
            sleep(0.05)
        self._answer(escalation_id).unlink(missing_ok=True)
        raise NobodyWaits(
            f"{escalation_id}: the waiting process did not confirm the answer, so assume that it was not given. "
            "`ballast trace` shows how the run ended."
        )

    def _living(self) -> Iterator[WaitingEscalation]:
        for file in self._folder.glob("*.json"):
            if not _ID.fullmatch(file.stem) or not _is_locked(file):
                continue  # an answer, a result, or a file that a killed process left
            try:
                message = json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            yield WaitingEscalation(file.stem, message if isinstance(message, dict) else {})

    def _file_of(self, escalation_id: str) -> Path:
        return self._folder / f"{escalation_id}.json"

    def _answer(self, escalation_id: str) -> Path:
        return self._folder / f"{escalation_id}.answer.json"

    def _result(self, escalation_id: str, nonce: str) -> Path:
        return self._folder / f"{escalation_id}.{nonce}.result.json"


def _is_locked(file: Path) -> bool:
    """Return whether a living process holds a lock on ``file``."""
    try:
        with file.open(encoding="utf-8") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False
