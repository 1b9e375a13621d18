"""What a courier's audit hook lets it reach and open."""

import os
import subprocess
import sys
import sysconfig
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.notices import egress_guard

INNER = [
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",  # noqa: S104 - it leads to this machine
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:a9fe:a9fe",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2001::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
]
OUTER = ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.mark.parametrize("number", INNER)
def test_inner_networks(number: str) -> None:
    """Loopback, private, link-local, shared and reserved networks, clouds' metadata, and every form that hides one."""
    assert not egress_guard.may_reach((number, 443))


@pytest.mark.parametrize("number", OUTER)
def test_the_public_internet(number: str) -> None:
    assert egress_guard.may_reach((number, 443))


@pytest.mark.parametrize("address", ["/run/docker.sock", b"\0abstract", ("localhost", 80), ("127.1", 80), ("", 80), ()])
def test_what_is_no_number(address: object) -> None:
    """Unix sockets, and names that would be resolved only afterwards, are refused."""
    assert not egress_guard.may_reach(address)


@given(st.ip_addresses(v=4))
def test_no_form_of_ipv6_hides_an_inner_ipv4_address(number: IPv4Address) -> None:
    """An IPv6 form of a refused IPv4 address is refused, and so is every form that leads to a relay."""
    mapped, nat64 = IPv6Address(f"::ffff:{number}"), IPv6Address((0x64FF9B << 96) | int(number))
    for form in (mapped, nat64):
        assert egress_guard.may_reach((str(form), 1)) == egress_guard.may_reach((str(number), 1))
    six_to_four, compatible = IPv6Address((0x2002 << 112) | (int(number) << 80) | 1), IPv6Address(int(number))
    for form in (six_to_four, compatible):
        assert not egress_guard.may_reach((str(form), 1))


def test_networks_that_the_operator_opened() -> None:
    """The networks that the operator opened are reached, also in IPv6 form; the adjacent ones are not."""
    networks = [ip_network("10.1.0.0/16")]

    assert egress_guard.may_reach(("10.1.2.3", 1), networks)
    assert egress_guard.may_reach(("::ffff:10.1.2.3", 1), networks)
    assert not egress_guard.may_reach(("10.2.0.1", 1), networks)


def test_files() -> None:
    """Only files of Python's own libraries may be opened, only for reading, and the real path decides."""
    hook, library = egress_guard.hook([]), f"{sysconfig.get_path('stdlib')}/json/__init__.py"
    hook("open", (library, "r", os.O_RDONLY))
    hook("open", (3, "r", os.O_RDONLY))

    for path, flags in [
        ("/etc/passwd", os.O_RDONLY),
        (b"/etc/passwd", os.O_RDONLY),
        (f"{sysconfig.get_path('stdlib')}/../../../../../../../etc/passwd", os.O_RDONLY),
        (library, os.O_WRONLY),
        (library, os.O_RDWR),
        ("/tmp/new", os.O_CREAT),  # noqa: S108 - it is not opened
        (None, os.O_RDONLY),
    ]:
        with pytest.raises(PermissionError):
            hook("open", (path, "r", flags))


@pytest.mark.parametrize(
    "attempt",
    [
        "import socket; socket.create_connection(('localhost', 9), 1)",
        "import socket; socket.socket().connect(('127.0.0.1', 9))",
        "import socket; socket.socket().connect_ex(('127.0.0.1', 9))",
        "import socket; socket.socket(socket.AF_UNIX).connect('/run/docker.sock')",
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, ('127.0.0.1', 9))",
        "import socket; socket.socket().bind(('', 0))",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.system('true')",
        "import os; os.fork()",
        "import os; os.open('/etc/passwd', os.O_RDONLY)",
        "import os; os.remove('/tmp/none')",
        "import ctypes; ctypes.CDLL(None)",
        "from pathlib import Path; Path('/etc/passwd').read_text()",
        "from urllib.request import urlopen; urlopen('file:///etc/passwd')",
    ],
)
def test_python_keeps_to_it(attempt: str) -> None:
    """In a real process each attempt is stopped before it happens."""
    code = f"import sys; from core.notices import egress_guard; sys.addaudithook(egress_guard.hook([])); {attempt}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3]
    )

    assert done.returncode == 1
    assert "PermissionError" in done.stderr
