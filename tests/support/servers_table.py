"""The table of the plays with servers that nobody here wrote: ``python -m tests.support.servers_table plays.xml``."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from pathlib import Path
from xml.etree import ElementTree


def main(file: str) -> None:
    """Print how the plays of a JUnit report ended, by server."""
    plays: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for found in ElementTree.fromstring(Path(file).read_text(encoding="utf-8")).iter("property"):
        if found.get("name") == "play":
            server, *play = str(found.get("value")).split()
            plays[server].append((play[0], play[1], play[2]))
    lines = ["", "| server | plays | ok | unknown, with a person | failed | effects at the server | doubled |"]
    lines.append("|---|---|---|---|---|---|---|")
    for server, ended in plays.items():
        status = Counter(how_it_ended for _, how_it_ended, _ in ended)
        counted = [int(effects) for _, _, effects in ended if effects != "-"]
        happened = str(sum(counted)) if counted else "reads only"
        known = f"{status['ok']} | {status['unknown']} | {status['failed']}"
        lines.append(f"| {server} | {len(ended)} | {known} | {happened} | {sum(one > 1 for one in counted)} |")
    sys.stdout.write("\n".join([*lines, ""]))


if __name__ == "__main__":
    main(sys.argv[1])
