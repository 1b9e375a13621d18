"""The database URL that docs/operators.md gives to doors on several hosts."""

import shlex
from urllib.parse import quote, urlsplit

import pytest
from psycopg import AsyncConnection, OperationalError, sql
from psycopg.conninfo import conninfo_to_dict

from core.db.pool import database_url
from core.settings import load
from tests import proxies, servers

PAGE = "docs/operators.md"


def told() -> str:
    """The URL, as a shell takes it from the page."""
    (assignment,) = shlex.split(proxies.shown(PAGE, "sh", "INSTANT_DATABASE_URL="))
    name, _, url = assignment.partition("=")
    assert name == "INSTANT_DATABASE_URL"
    return url


def test_libpq_is_patient_for_seconds_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """libpq knows each parameter, and none waits as long as a lease that a failover must fit into."""
    monkeypatch.setenv("INSTANT_DATABASE_URL", told())
    read = conninfo_to_dict(database_url(load()))

    assert (read["host"], read["user"], read["dbname"]) == ("10.0.0.20,10.0.0.21", "instant_app", "instant")
    assert read["target_session_attrs"] == "read-write"
    silent = int(read["keepalives_idle"]) + int(read["keepalives_interval"]) * int(read["keepalives_count"])
    assert max(int(read["connect_timeout"]), silent, int(read["tcp_user_timeout"]) / 1000) <= 15


async def test_a_host_that_is_lost_and_one_that_may_not_write_are_passed_over(own_database: str) -> None:
    """Where nobody listens at the first host, the second is written to; a replica is not taken for a primary."""
    socket = quote(conninfo_to_dict(own_database)["host"] or "", safe="")
    name = urlsplit(own_database).path
    places = {"10.0.0.20,10.0.0.21/instant": f"127.0.0.1:{servers.free_port()},{socket}{name}"}
    url = proxies.placed(told(), places)
    async with await AsyncConnection.connect(url, autocommit=True) as conn:
        await conn.execute("CREATE TEMPORARY TABLE written (one integer)")
    async with await AsyncConnection.connect(own_database, autocommit=True) as owner:
        # As a replica says it, too.
        database = sql.Identifier(name.removeprefix("/"))
        await owner.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(database))

    with pytest.raises(OperationalError, match="read-only"):
        await AsyncConnection.connect(url)
