"""Say which client an address belongs to, for every bound that is counted by client; and which addresses are public."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

# Networks that Python does not count as private, or not in all its versions: protocol assignments (with Oracle's
# metadata service), relays, and Azure's internal services behind a public number.
_INTERNAL: tuple[Network, ...] = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))
_NAT64 = IPv6Network("64:ff9b::/96")
# Forms of IPv6 that carry an IPv4 address to a relay. Nobody needs them, and they may end in any network.
_RELAYED: tuple[Network, ...] = tuple(
    map(IPv6Network, ("::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "fec0::/10"))
)

# What providers give a customer (RFC 6177): they choose the other half of an address at will.
_CUSTOMER_BITS = 64


def read_address(host: str) -> IPv4Address | IPv6Address | None:
    """Read an address; None if the host is none. An IPv4-mapped one (RFC 4291, 2.5.5.2) is the IPv4 address in it."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


@lru_cache(maxsize=4096)
def client_at(host: str) -> str:
    """Name the client at an address: the IPv4 address, the /64 of an IPv6 address, or any other host as it is."""
    address = read_address(host)
    if address is None:
        return host
    return str(address if address.version == 4 else ip_network((address, _CUSTOMER_BITS), strict=False))


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


def _inside(number: IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 address stands for on this machine or network."""
    if number in _NAT64:
        return IPv4Address(int(number) & 0xFFFFFFFF)
    return number.ipv4_mapped or number


def _is_public(number: IPv4Address | IPv6Address) -> bool:
    if not number.is_global or number.is_multicast or number.is_reserved:
        return False
    return not any(number in network for network in (*_INTERNAL, *_RELAYED))
