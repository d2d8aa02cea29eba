"""Two agents: ``triage`` reads and hands over, ``billing`` refunds."""
