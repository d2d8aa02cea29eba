"""The tools, one a file: a closed argument model, a function, and its effect."""
