"""The subcommands of `ballast`, one a file."""
