"""Back up the database and the pictures into one file, and restore them from it."""

__all__ = ("archive", "make", "programs", "restore")
