"""What may be proposed. One tool a file: a closed argument model, a function, its effect."""
