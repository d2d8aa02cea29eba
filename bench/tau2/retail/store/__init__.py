"""Tells `ballast certify` about tau2's databases, which are in no table."""

from bench.tau2.downstream import REQUESTS, kept, put_back, seed_store, seen_outside

__all__ = ["REQUESTS", "kept", "put_back", "seed_store", "seen_outside"]
