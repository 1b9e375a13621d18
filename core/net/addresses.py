"""Say which client an address belongs to, for every bound that is counted by client."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

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
