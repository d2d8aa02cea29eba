"""Scripts of the ledger."""
