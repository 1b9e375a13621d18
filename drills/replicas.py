"""A Postgres of a host, as a primary with one streaming replica, which may take its place."""

import asyncio
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import psycopg

from deployments import postgres
from drills.kept import kill_family
from drills.network import Host
from drills.pace import eventually

_START_SECONDS = 60
_PORT = 5432

# A server notices within twelve seconds that a host is gone, and gives back its locks.
_SETTINGS = """
listen_addresses = '*'
tcp_keepalives_idle = 5
tcp_keepalives_interval = 2
tcp_keepalives_count = 3
tcp_user_timeout = 10000
wal_sender_timeout = 5s
max_connections = 200
"""


@dataclass(frozen=True)
class Server:
    """One server, on a host, with its data folder below `folder`."""

    folder: Path
    host: Host

    @property
    def data(self) -> Path:
        """Its data folder, in which its Unix socket is as well."""
        return self.folder / "postgres"

    @property
    def superuser(self) -> str:
        """Its URL for this process: the path of a Unix socket leads into every network namespace."""
        return f"postgresql://postgres@/postgres?host={self.data}"

    @property
    def pid(self) -> int:
        """Its first process."""
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def create(self) -> None:
        """Start it empty, for all hosts of the network."""
        account = self._prepare()
        postgres.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", account=account)
        (self.data / "postgresql.conf").open("a").write(_SETTINGS)
        trusted = "host all all 10.77.0.0/24 trust\nhost replication all 10.77.0.0/24 trust\n"
        (self.data / "pg_hba.conf").open("a").write(trusted)
        self._start(account)

    def follow(self, primary: "Server") -> None:
        """Start it as a streaming replica of another, from a copy of all its data."""
        account = self._prepare()
        source = f"host={primary.host.address} user=postgres application_name={self.host.name}"
        arguments = ("-D", self.data, "-d", source, "-R", "-X", "stream", "-c", "fast")
        self.host.inside(postgres.run, "pg_basebackup", *arguments, account=account)
        (self.data / f".s.PGSQL.{_PORT}.lock").unlink()  # of the other server's socket, which lies in its data folder
        self._start(account)

    def promote(self) -> None:
        """Make it the primary. The other one must be gone: two primaries would be two truths."""
        account = postgres.account_of(self.data)
        postgres.run("pg_ctl", "-D", self.data, "-w", "-t", _START_SECONDS, "promote", account=account)

    def lose(self) -> None:
        """The host is gone: SIGKILL, and its data are never read again."""
        kill_family(self.pid)

    def stop(self) -> None:
        """Stop it, if it runs."""
        if process := postgres.postmaster(self.data):
            os.kill(process.pid, signal.SIGINT)
            process.wait(_START_SECONDS)

    async def wait_for(self, replica: "Server", *, is_synchronous: bool) -> None:
        """Let commits wait for that replica, or not, and return when that is in force."""
        names = replica.host.name if is_synchronous else ""
        state = "sync" if is_synchronous else "async"
        async with await psycopg.AsyncConnection.connect(self.superuser, autocommit=True) as conn:
            await conn.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'".encode())
            await conn.execute("SELECT pg_reload_conf()")

            async def in_force() -> bool:
                found = await conn.execute(
                    "SELECT 1 FROM pg_stat_replication WHERE application_name = %s AND sync_state = %s"
                    " AND state = 'streaming'",
                    [replica.host.name, state],
                )
                return await found.fetchone() is not None

            await eventually(in_force, _START_SECONDS)

    def _prepare(self) -> str | None:
        self.data.mkdir(parents=True, mode=0o700)
        return postgres.account_of(self.data)

    def _start(self, account: str | None) -> None:
        options = f"-k {self.data} -p {_PORT}"
        arguments = ("-D", self.data, "-w", "-t", _START_SECONDS, "-o", options, "-l", self.data / "log", "start")
        self.host.inside(postgres.run, "pg_ctl", *arguments, account=account)


def url_of(*servers: Server) -> str:
    """What doors and executors get: whichever of the servers is the primary, and none that is silent for long."""
    hosts = ",".join(f"{one.host.address}:{_PORT}" for one in servers)
    bounds = "connect_timeout=2&keepalives_idle=5&keepalives_interval=2&keepalives_count=3&tcp_user_timeout=10000"
    return f"postgresql://instant_app@{hosts}/instant?target_session_attrs=read-write&{bounds}"


async def failed_over(lost: Server, replica: Server) -> None:
    """Lose the primary, and let the replica take its place."""
    await asyncio.to_thread(lost.lose)
    await asyncio.to_thread(replica.promote)
