"""Tools that print, each in its own way, and one that breaks."""

import logging
import sys
import threading
from typing import Annotated

from pydantic import BaseModel, ConfigDict

from ballast.playbook import CallLimits, Read, Sensitive, ToolContext, tool


class Said(BaseModel):
    """What is said, and what is sensitive of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    word: str
    pin: Annotated[str, Sensitive] = ""


@tool(effect=Read())
def say(args: Said, ctx: ToolContext) -> str:
    """Print to both streams, by a logger, and from a thread of its own."""
    print(f"printed {args.word} {args.pin}")  # noqa: T201
    print(f"complained {args.word} {args.pin}", file=sys.stderr)  # noqa: T201
    logging.getLogger("loud").warning("logged %s %s", args.word, args.pin)
    said = f"threaded {args.word} \x1b[31m{ctx.request.context['tax_number']}"
    thread = threading.Thread(target=print, args=(said,))
    thread.start()
    thread.join()
    return "said"


@tool(effect=Read(), limits=CallLimits(timeout_s=5))
def say_in_time(args: Said, ctx: ToolContext) -> str:
    """Print while a limit of time runs, which takes another thread."""
    print(f"in time {args.word} {args.pin}")  # noqa: T201
    return "said"


@tool(effect=Read())
def break_down(args: Said, ctx: ToolContext) -> str:
    """Raise what the log keeps one line of."""
    return _deep({"pin": args.pin})


def _deep(words: dict[str, str]) -> str:
    return words[f"boom {words['pin']}"]
