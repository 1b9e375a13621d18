"""Check URLs before anything is sent to them. Each error completes a sentence that begins with the setting's name."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import SplitResult, urlsplit

_SCHEMES = ("http", "https")
# Labels of a name in the DNS (RFC 1123), and the underscore of names that containers have.
_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
_VISIBLE = re.compile(r"[\x21-\x7e]+")


def checked(url: str) -> str:
    """Check that a URL has the scheme http or https and a host.

    Raises:
        ValueError: it has not; the text does not repeat the URL, which may hold a key.
    """
    if not _VISIBLE.fullmatch(url):
        raise ValueError("must be a URL without spaces and in plain ASCII")
    parts = _split(url)
    if parts.scheme not in _SCHEMES or "://" not in url:
        raise ValueError("must begin with https:// or http://")
    if not parts.hostname:
        raise ValueError("must name a host after https://")
    if not is_host(parts.hostname):
        raise ValueError("names a host that is neither a name nor an IP address")
    if "#" in url:
        raise ValueError("must have no fragment (#)")
    return url


def checked_base(url: str) -> str:
    """Check a URL that paths are appended to, and return it without a slash at its end.

    Raises:
        ValueError: it is no such URL.
    """
    if "?" in checked(url):
        raise ValueError("must have no query (?), because paths are appended to it")
    return url.rstrip("/")


def is_host(host: str) -> bool:
    """Whether this is an IP address or a name in the DNS. A name does not end with a number (URL Standard, 3.5)."""
    if _address(host) is not None:
        return True
    return bool(_NAME.fullmatch(host)) and not re.fullmatch(r"([0-9]+|0[xX][0-9a-fA-F]*)", _last_label(host))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: 127.0.0.0/8, ::1, localhost or a name below it (RFC 6761, 6.3)."""
    address = _address(host)
    if address is None:
        return _last_label(host) == "localhost"
    return address.is_loopback


def is_unspecified(host: str) -> bool:
    """Whether a host means every address of this machine, as 0.0.0.0 does: something to listen on, not to call."""
    address = _address(host)
    return address is not None and address.is_unspecified


def leads_to_loopback(url: str) -> bool:
    """Whether a checked URL leads to this machine."""
    return is_loopback(host_of(url))


def host_of(url: str) -> str:
    """Return the host of a checked URL, in lower case and without brackets."""
    return urlsplit(url).hostname or ""


def without_credentials(url: str) -> str:
    """Return a checked URL as people may read it: without a user and a password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def bracketed(host: str) -> str:
    """Return a host as URLs write it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def _split(url: str) -> SplitResult:
    """Split a URL, and read its port, which urlsplit leaves unread.

    Raises:
        ValueError: the host or the port cannot be read.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = None
    if parts is None:
        raise ValueError("names a host that is neither a name nor an IP address")
    try:
        is_port = parts.port != 0
    except ValueError:
        is_port = False
    if not is_port:
        raise ValueError("has a port that is no number from 1 to 65535")
    return parts


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    # ::ffff:127.0.0.1 is 127.0.0.1.
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _last_label(host: str) -> str:
    return host.lower().removesuffix(".").rpartition(".")[2]


def is_address(host: str) -> bool:
    """Whether a host is an IP address, and no name."""
    return _address(host) is not None
