"""Pictures and sounds: check them and store them."""

__all__ = ("files", "store")
