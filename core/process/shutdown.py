"""Tell whether this process is stopping, to those who would otherwise serve one client for minutes."""

_has_begun = False


def begin() -> None:
    """Note that the process was told to stop. It may be called by a signal handler."""
    global _has_begun
    _has_begun = True


def has_begun() -> bool:
    """Whether the process was told to stop."""
    return _has_begun
