"""The domain logic: plain async Python and SQL, no framework."""
