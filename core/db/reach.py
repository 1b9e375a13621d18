"""Say in words why a Postgres cannot be reached, and what to do: each cause has its own sentence.

Until a connection is open, libpq tells causes only as texts, without an SQLSTATE, so they are recognised by the texts
of libpq and of a server whose messages are in English. What is not recognised gets the general sentence. A sentence
names the setting, host, role and database of the URL, and never the password nor what a server said.
"""

import re
from dataclasses import dataclass
from typing import Literal

import psycopg
from psycopg import pq

from core.db.pool import UNREACHABLE

Cause = Literal[
    "closed_port",
    "unknown_host",
    "timed_out",
    "tls",
    "wrong_password",
    "no_password",
    "no_role",
    "not_admitted",
    "no_database",
    "not_allowed",
    "too_many",
    "not_ready",
    "unknown",
]

CONNECT_SECONDS = 5
"""How long an attempt may take."""

# In this order: a server's FATAL line may follow a sentence about the address. The SQLSTATE that each stands for.
_TEXTS: tuple[tuple[Cause, str], ...] = (
    ("wrong_password", r"password authentication failed"),  # 28P01
    ("no_password", r"no password supplied"),
    ("no_database", r'database "[^"]*" does not exist'),  # 3D000
    ("no_role", r'role "[^"]*" (does not exist|is not permitted to log in)'),  # 28000
    ("not_admitted", r"no pg_hba\.conf entry|pg_hba\.conf rejects|(peer|ident|certificate) authentication failed"),
    ("not_allowed", r"permission denied for database"),  # 42501
    ("too_many", r"too many (clients|connections)|remaining connection slots"),  # 53300
    ("not_ready", r"the database system is"),  # 57P03: starting up, shutting down, in recovery
    ("tls", r"SSL|TLS|certificate"),
    ("unknown_host", r"failed to resolve host|could not translate host name|Name or service not known"),
    ("timed_out", r"timeout expired|timed out|No route to host|Network is unreachable"),
    ("closed_port", r"Connection refused|No such file or directory|Permission denied"),
)
_BY_STATE: dict[str, Cause] = {
    "28P01": "wrong_password",
    "3D000": "no_database",
    "28000": "no_role",
    "42501": "not_allowed",
    "53300": "too_many",
    "57P03": "not_ready",
}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a URL leads: libpq's defaults fill what it does not say."""

    address: str
    role: str
    database: str


def cause_of(error: psycopg.Error) -> Cause:
    """Classify a failed attempt to connect."""
    if error.sqlstate in _BY_STATE:
        return _BY_STATE[error.sqlstate]
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        return "timed_out"
    text = str(error)
    return next((cause for cause, pattern in _TEXTS if re.search(pattern, text)), "unknown")


def sentence(cause: Cause, setting: str, url: str) -> str:
    """Say what is wrong and what to do.

    Args:
        cause: of `cause_of`.
        setting: the variable that has the URL.
        url: a libpq URL; its password does not appear.
    """
    place = _place(url)
    words = {
        "closed_port": f"nothing listens at {place.address}; start Postgres there, or correct host and port",
        "unknown_host": f"there is no host {place.address}; correct its name",
        "timed_out": f"{place.address} does not answer in time; look at the network and firewalls on the way",
        "tls": f"no TLS connection to {place.address} comes about; compare sslmode and sslrootcert in the URL with the"
        " server's certificate",
        "wrong_password": f"{place.address} refuses the password of the role {place.role}: it is wrong, or the"
        " server has no such role",
        "no_password": f"{place.address} asks for the password of the role {place.role}, and the URL has none",
        "no_role": f"there is no role {place.role} at {place.address} that may log in; run"
        " deployments/roles/instant.sql as a superuser",
        "not_admitted": f"pg_hba.conf at {place.address} does not admit the role {place.role} from here",
        "no_database": f"there is no database {place.database} at {place.address}; create it, or correct its name",
        "not_allowed": f"the role {place.role} may not connect to the database {place.database}; run"
        " deployments/roles/instant.sql as a superuser",
        "too_many": f"{place.address} has no connection left; raise its max_connections, or lower INSTANT_POOL_SIZE",
        "not_ready": f"Postgres at {place.address} is starting, stopping or recovering; wait, or look at its log",
        "unknown": f"Postgres at {place.address} cannot be reached; its log has the reason",
    }
    return f"{setting}: {words[cause]}"


def look(setting: str, url: str) -> str | None:
    """Try to connect once; return the sentence about what is wrong, or None.

    Args:
        setting: the variable that has the URL.
        url: a libpq URL.
    """
    try:
        psycopg.connect(url, connect_timeout=CONNECT_SECONDS).close()
    except UNREACHABLE as error:
        return sentence(cause_of(error), setting, url)
    return None


def shown(url: str) -> str:
    """Return where a URL leads, for people: host, port and database, without role and password."""
    place = _place(url)
    return f"{place.database} at {place.address}"


def environment(url: str) -> dict[str, str]:
    """Return a libpq URL as the variables of libpq's programs, so that no list of processes shows its password.

    Raises:
        KeyError: the URL has a parameter that is no variable of libpq.
    """
    found = {}
    for option in pq.Conninfo.parse(url.encode()):
        if option.val is not None and option.keyword != b"client_encoding":
            if option.envvar is None:
                raise KeyError(option.keyword.decode())
            found[option.envvar.decode()] = option.val.decode()
    return found


def _place(url: str) -> _Place:
    given = {
        option.keyword.decode(): option.val.decode() if option.val is not None else ""
        for option in (*pq.Conninfo.get_defaults(), *pq.Conninfo.parse(url.encode()))
        if option.val is not None
    }
    host, port = given.get("host") or given.get("hostaddr") or "the local socket", given.get("port", "5432")
    user = given.get("user", "of this account")
    address = host if host.startswith("/") or "," in host or host == "the local socket" else f"{host}:{port}"
    return _Place(address, user, given.get("dbname") or user)
