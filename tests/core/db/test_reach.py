"""Why a Postgres cannot be reached: each cause has a sentence of its own, and none shows a password."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from core.db import reach
from core.db.reach import Cause
from core.net import unreachable
from tests import servers

PASSWORD = "canary-4b1f"


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """A Postgres that asks some roles for their password, as its superuser's URL."""
    with servers.postgres() as url:
        with psycopg.connect(url, autocommit=True) as conn:
            (hba,) = conn.execute("SHOW hba_file").fetchone() or ("",)
            rules = "".join(
                f"local all {role} {how}\n" for role, how in (("asked", "scram-sha-256"), ("out", "reject"))
            )
            Path(hba).write_text(rules + Path(hba).read_text())
            for statement in (
                f"CREATE ROLE asked LOGIN PASSWORD '{PASSWORD}'",
                "CREATE ROLE out LOGIN",
                "CREATE ROLE group_only NOLOGIN",
                "CREATE DATABASE closed",
                "REVOKE ALL ON DATABASE closed FROM PUBLIC",
                "SELECT pg_reload_conf()",
            ):
                conn.execute(statement.encode())
        yield url


def of(url: str, role: str, database: str = "postgres") -> str:
    """The URL of a role and a database."""
    return urlsplit(url)._replace(netloc=f"{role}@", path=f"/{database}").geturl()


@pytest.mark.parametrize(
    ("role", "database", "cause", "words"),
    [
        (f"asked:{PASSWORD}x", "postgres", "wrong_password", "the password of the role asked"),
        ("asked", "postgres", "no_password", "the URL has none"),
        ("nobody", "postgres", "no_role", "no role nobody"),
        ("group_only", "postgres", "no_role", "no role group_only"),
        ("out", "postgres", "not_admitted", "does not admit the role out"),
        ("postgres", "nothing", "no_database", "no database nothing"),
        (f"asked:{PASSWORD}", "closed", "not_allowed", "may not connect to the database closed"),
    ],
)
def test_what_a_server_refuses(guarded: str, role: str, database: str, cause: Cause, words: str) -> None:
    url = of(guarded, role, database)

    with pytest.raises(psycopg.OperationalError) as refused:
        psycopg.connect(url)
    sentence = reach.look("INSTANT_DATABASE_URL", url)

    assert reach.cause_of(refused.value) == cause
    assert sentence is not None
    assert sentence.startswith("INSTANT_DATABASE_URL: ")
    assert words in sentence
    assert PASSWORD not in sentence


def test_where_no_server_is() -> None:
    """A closed port, a missing socket, a name that nobody has, a port that says nothing, and one that speaks no TLS."""
    with servers.silent() as mute, socket.create_server(("127.0.0.1", 0)) as other:
        places: dict[str, str] = {
            f"127.0.0.1:{servers.free_port()}": "nothing listens",
            "nosuch.invalid:5432": "there is no host",
            f"127.0.0.1:{mute.getsockname()[1]}": "does not answer in time",
        }
        said = {where: reach.look("X", f"postgresql://u:{PASSWORD}@{where}/x") for where in places}
        no_socket = reach.look("X", "postgresql://u@/x?host=/nowhere")
        other.close()

    for where, words in places.items():
        assert said[where] is not None
        assert words in str(said[where])
        assert PASSWORD not in str(said[where])
    assert "nothing listens at /nowhere" in str(no_socket)


@pytest.mark.parametrize(
    "text",
    [
        "server does not support SSL, but SSL was required",
        "SSL error: certificate verify failed",
        'root certificate file "/x/root.crt" does not exist',
        'server certificate for "db" does not match host name "127.0.0.1"',
        "received invalid response to SSL negotiation: H",
    ],
)
def test_tls(text: str) -> None:
    """What libpq says about TLS; `root.crt does not exist` is not about a role or a database."""
    assert (
        reach.cause_of(psycopg.OperationalError(f'connection to server at "db" (::1), port 1 failed: {text}')) == "tls"
    )


def test_a_good_url_is_no_sentence_and_goes_to_programs_by_their_environment(guarded: str) -> None:
    """libpq's own programs take the same URL from variables, which no list of processes shows."""
    url = of(guarded, f"asked:{PASSWORD}")
    variables = reach.environment(f"{url}&options=-c%20role%3Dasked")

    assert reach.look("X", url) is None
    assert (variables["PGUSER"], variables["PGPASSWORD"], variables["PGOPTIONS"]) == (
        "asked",
        PASSWORD,
        "-c role=asked",
    )
    assert PASSWORD not in reach.shown(url)
    assert reach.shown("postgresql://u:p@db.example:6000/shop") == "shop at db.example:6000"


def test_causes_are_found_inside_what_libraries_raise() -> None:
    """HTTP libraries wrap the system's errors, some in groups; the texts are never read."""
    wrapped = RuntimeError("canary")
    wrapped.__cause__ = OSError("all attempts failed")
    wrapped.__cause__.__context__ = ExceptionGroup("canary", [ConnectionRefusedError(111, "canary")])

    assert "closed port" in unreachable.why(wrapped)
    assert "TLS" in unreachable.why(ssl.SSLCertVerificationError("canary"))
    assert "no address" in unreachable.why(socket.gaierror(-2, "canary"))
    assert unreachable.why(ValueError("canary")) == "cannot be reached"
