"""Two sparse indexes of the log's table, to find runs by tenant or by outcome without reading them.

``by_tenant`` has the first event of each run (opened or refused), ``by_outcome`` the last (ended or
refused). Both are sorted by time, and eventually consistent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from ballast.log.run_log import LogSettings
from ballast.runtime import Runtime
from ballast.table import Query, Table, between, equals
from ballast.values import dataclass

#: Each index and its partition key.
INDEXES = {"by_tenant": "tenant", "by_outcome": "outcome"}


def by_tenant(tenant: str) -> dict[str, str]:
    """Return the index attributes of a run's opening."""
    return {"tenant": tenant}


def by_outcome(tenant: str, status: str) -> dict[str, str]:
    """Return the index attributes of a run's ending."""
    return {"outcome": f"{tenant}#{status}"}


@dataclass(frozen=True)
class Found:
    """An event found in an index. ``at``: when it was written, ISO 8601 in UTC."""

    run_id: str
    seq: str
    at: str


@dataclass(frozen=True)
class RunIndex:
    """Reads the indexes, with the rights of one function."""

    table: Table

    @classmethod
    def of(cls, runtime: Runtime) -> RunIndex:
        """Return the indexes of ``runtime``'s log table."""
        return cls(Table.of(runtime, LogSettings.of(runtime).run_log_table, "RUN_LOG_TABLE"))

    def find(
        self,
        attributes: Mapping[str, str],
        *,
        since: str | None = None,
        until: str | None = None,
        limit: int,
        after: Found | None = None,
    ) -> tuple[tuple[Found, ...], bool]:
        """Return at most ``limit`` events with these index attributes, newest first, and whether there may be more.

        ``since`` and ``until`` (ISO 8601, UTC; both inclusive) limit the time; ``after`` is the previous page's last.
        """
        ((key, value),) = attributes.items()
        # "0" sorts before every time, ":" after.
        in_time = between("at", since or "0", until or ":")
        query = Query(
            equals(key, value) & in_time,
            index=next(index for index, partition in INDEXES.items() if partition == key),
            descending=True,
            limit=limit,
            after=None if after is None else {**asdict(after), key: value},
        )
        page = self.table.page(query)
        found = tuple(Found(item["run_id"], item["seq"], item["at"]) for item in page.items)
        return found, page.after is not None
