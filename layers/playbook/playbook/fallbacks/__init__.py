"""Scripts for tasks with a known solution: what runs when the agent gives up."""
