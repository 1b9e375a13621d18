"""The meaning: plain async Python and SQL, no framework."""
