"""The airline desk of the recorded transcripts: its tools return what was recorded."""
