"""The till of a small shop, for ``bench.capture``: its tools need no table, so a play of it is short."""
