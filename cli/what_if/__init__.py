"""``ballast what-if``: what is asked, the sums over the runs, and their page."""
