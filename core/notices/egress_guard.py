"""Restrict a sender process, whatever its URL: no internal networks, files, writes or child processes.

An audit hook (PEP 578) sees a connection when its address is a number, after every look-up and redirect, so DNS
rebinding cannot evade it.
"""

import os
import re
import sysconfig
from collections.abc import Callable, Iterable
from typing import Any

from core.net.addresses import Network as Network
from core.net.addresses import may_reach as may_reach

_NUMBER = re.compile(r"[0-9]+(\.[0-9]+){1,3}|[0-9a-f.]*:.*")
_CONNECTIONS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_FORBIDDEN = frozenset(
    {
        "ctypes.dlopen",
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.link",
        "os.mkdir",
        "os.posix_spawn",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.spawn",
        "os.symlink",
        "os.system",
        "os.truncate",
        "pty.spawn",
        "socket.bind",
        "subprocess.Popen",
    }
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_LIBRARIES = tuple(
    os.path.join(os.path.realpath(path), "")
    for name, path in sysconfig.get_paths().items()
    if name in ("stdlib", "platstdlib", "purelib", "platlib")
)


def hook(networks: Iterable[Network]) -> Callable[[str, tuple[object, ...]], None]:
    """Build an audit hook that allows connections to the public internet and reading Python's own libraries.

    Args:
        networks: networks that may be reached although they are not public.
    """
    allowed = tuple(networks)

    def guard(event: str, arguments: tuple[Any, ...]) -> None:  # as each audit event defines them
        if event in _CONNECTIONS:
            refused = arguments[1] is not None and not may_reach(arguments[1], allowed)
        elif event == "open":
            refused = not _may_open(arguments[0], arguments[2])
        else:
            refused = event in _FORBIDDEN
        if refused:
            raise PermissionError(event)

    return guard


def is_number(host: str) -> bool:
    """Whether a host is written as an address, or as some look-ups read one, and not as a name."""
    return _NUMBER.fullmatch(host) is not None


def _may_open(path: object, flags: int) -> bool:
    """Allow reading Python's own files, so that plugins can be imported. A number is a file that is already open."""
    if isinstance(path, int):
        return True
    if not isinstance(path, str | bytes) or flags & _WRITING:
        return False
    return os.path.realpath(os.fsdecode(path)).startswith(_LIBRARIES)
