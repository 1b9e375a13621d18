"""The model catalog: sync it, tell what changed, search it."""
