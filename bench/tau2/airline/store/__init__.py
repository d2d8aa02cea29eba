"""What `ballast certify` needs of tau2's databases, which no table has."""

from bench.tau2.downstream import REQUESTS, seed_store, seen_outside

__all__ = ["REQUESTS", "seed_store", "seen_outside"]
