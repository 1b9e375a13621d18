"""Which client an address belongs to."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.net.addresses import client_at


@given(st.ip_addresses(v=4))
def test_an_ipv4_client_is_its_address_however_it_is_written(address: IPv4Address) -> None:
    """A dual-stack socket writes IPv4 addresses as IPv6; no two clients become one, nor one client two."""
    mapped = IPv6Address("::ffff:0:0") + int(address)

    assert [client_at(host) for host in (str(address), f"::ffff:{address}", str(mapped))] == [str(address)] * 3


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:ffff::", "2001:db8:0:1::/64"),
        ("2001:db8:0:2::1", "2001:db8:0:2::/64"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_an_ipv6_client_is_its_network(host: str, client: str) -> None:
    """Half of the address is the customer's own to choose; what is no address stays as it is."""
    assert client_at(host) == client
