"""Restrict a sender process, whatever its URL: no internal networks, files, writes or child processes.

An audit hook (PEP 578) sees a connection when its address is a number, after every look-up and redirect, so DNS
rebinding cannot evade it.
"""

import os
import re
import sysconfig
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

Network = IPv4Network | IPv6Network

# Networks that Python does not count as private, or not in all its versions: protocol assignments (with Oracle's
# metadata service), relays, and Azure's internal services behind a public number.
_INTERNAL: tuple[Network, ...] = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))
_NAT64 = IPv6Network("64:ff9b::/96")
# Forms of IPv6 that carry an IPv4 address to a relay. Nobody needs them, and they may end in any network.
_RELAYED: tuple[Network, ...] = tuple(
    map(IPv6Network, ("::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "fec0::/10"))
)

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


def may_reach(address: object, networks: Iterable[Network] = ()) -> bool:
    """Whether a socket address `(number, port, …)` is public or in one of the networks; never for a name or path."""
    host = address[0] if isinstance(address, tuple) and address else None
    try:
        number = ip_address(host) if isinstance(host, str) else None
    except ValueError:
        number = None
    if number is None:
        return False
    if isinstance(number, IPv6Address):
        number = _inside(number)
    return any(number in network for network in networks) or _is_public(number)


def is_number(host: str) -> bool:
    """Whether a host is written as an address, or as some look-ups read one, and not as a name."""
    return _NUMBER.fullmatch(host) is not None


def _inside(number: IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 address stands for on this machine or network."""
    if number in _NAT64:
        return IPv4Address(int(number) & 0xFFFFFFFF)
    return number.ipv4_mapped or number


def _is_public(number: IPv4Address | IPv6Address) -> bool:
    if not number.is_global or number.is_multicast or number.is_reserved:
        return False
    return not any(number in network for network in (*_INTERNAL, *_RELAYED))


def _may_open(path: object, flags: int) -> bool:
    """Allow reading Python's own files, so that plugins can be imported. A number is a file that is already open."""
    if isinstance(path, int):
        return True
    if not isinstance(path, str | bytes) or flags & _WRITING:
        return False
    return os.path.realpath(os.fsdecode(path)).startswith(_LIBRARIES)
