"""The append-only log of a run: typed events, their codec, the table and bucket that hold them, seal and signature."""
