"""The one JSON form of a tool's arguments, and the checks at load that every value has one."""
