"""What runs when the agent gives up."""
