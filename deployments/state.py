"""Manage the state folder of one machine: its keys, its logs, and the lock of its owner."""

import fcntl
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.failures import Misconfigured
from core.secrets.vault import new_master_key


def make_private(state_dir: Path) -> None:
    """Create the state folder for its owner alone, or close one that an earlier version left open.

    Its keys and pictures lie in it, and the embedded Postgres trusts whoever reaches its socket. Root's folder may keep
    one permission more: its group may pass through, which is the account of Postgres.

    Raises:
        Misconfigured: the folder is not one that may be closed.
    """
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = stat.S_IMODE(state_dir.stat().st_mode)
    allowed = 0o710 if os.geteuid() == 0 else 0o700
    if mode & 0o777 & ~allowed == 0:
        return
    if mode & stat.S_ISVTX:
        raise Misconfigured(f"INSTANT_STATE_DIR: {state_dir} belongs to everybody; name a folder of its own")
    try:
        state_dir.chmod(mode & allowed)
        return
    except PermissionError:
        pass
    raise Misconfigured(f"INSTANT_STATE_DIR: others may enter {state_dir}, and only its owner can change that")


def ensure_environment(state_dir: Path) -> None:
    """Write `instant.env` for practice, with fresh keys, unless it exists. It appears complete or not at all."""
    path = state_dir / "instant.env"
    if path.exists():
        return
    lines = [
        "# Made by the first `instant dev`. Losing INSTANT_MASTER_KEYS means losing every sealed value.",
        "INSTANT_MODE=sandbox",
        f"INSTANT_MASTER_KEYS={new_master_key('first')}",
        f"INSTANT_PREFECT_AUTH_STRING=instant:{secrets.token_urlsafe(18)}",
        f"INSTANT_OPERATOR_TOKEN={secrets.token_urlsafe(24)}",
        "INSTANT_SIGNUP=open",  # practice is on this machine alone
    ]
    descriptor, draft = tempfile.mkstemp(dir=state_dir, prefix="instant.env.")  # mode 600
    with os.fdopen(descriptor, "w") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        os.fsync(file.fileno())
    Path(draft).replace(path)


@contextmanager
def owned(state_dir: Path) -> Iterator[bool]:
    """Hold the state folder for one `instant dev`. The lock ends with its process, so it cannot be stale.

    Yields:
        Whether the previous owner was killed, so that its child processes may still be ending.

    Raises:
        Misconfigured: another process holds it.
    """
    make_private(state_dir)
    lock = os.open(state_dir / "dev.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            holder = None
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode() or "unknown"
        if holder:
            raise Misconfigured(
                f"another `instant dev` (process {holder}) runs on {state_dir}; "
                "stop it, or set INSTANT_STATE_DIR and other ports"
            )
        was_killed = os.pread(lock, 20, 0) != b""
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        try:
            yield was_killed
        finally:
            os.ftruncate(lock, 0)
    finally:
        os.close(lock)
