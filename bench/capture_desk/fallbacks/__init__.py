"""Scripts for when the agent gives up."""
