"""The state folder: its keys and its lock."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from core.failures import Misconfigured
from core.secrets.vault import Vault
from deployments import state

_HOLD = """
import sys, time
from pathlib import Path
from deployments import state
with state.owned(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_first_run_makes_keys_that_later_runs_keep(tmp_path: Path) -> None:
    """Only its owner may read the file, and it is never overwritten."""
    state.ensure_environment(tmp_path)
    path = tmp_path / "instant.env"
    first = path.read_text()
    state.ensure_environment(tmp_path)

    values = dict(line.split("=", 1) for line in first.splitlines() if not line.startswith("#"))
    Vault(values["INSTANT_MASTER_KEYS"])
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == first
    assert values["INSTANT_MODE"] == "sandbox"
    assert ":" in values["INSTANT_PREFECT_AUTH_STRING"]
    assert len(values["INSTANT_OPERATOR_TOKEN"]) >= 16
    assert [entry.name for entry in tmp_path.iterdir()] == ["instant.env"]


def test_the_folder_is_private(tmp_path: Path) -> None:
    """A new one is its owner's alone, and one that was left open is closed; the folder of all is refused unchanged."""
    state_dir = tmp_path / "a" / "state"
    with state.owned(state_dir):
        assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700
    state_dir.chmod(0o777)
    with state.owned(state_dir):
        assert state_dir.stat().st_mode & 0o067 == 0

    state_dir.chmod(0o1777)
    with pytest.raises(Misconfigured, match="belongs to everybody"), state.owned(state_dir):
        pass
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o1777


def test_one_owner_at_a_time_and_a_killed_one_is_noticed(tmp_path: Path) -> None:
    """The lock ends with its process, in whatever way that ends."""
    holder = subprocess.Popen([sys.executable, "-c", _HOLD, tmp_path], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(Misconfigured, match=f"process {holder.pid}"), state.owned(tmp_path):
        pass

    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    with state.owned(tmp_path) as was_killed:
        assert was_killed
    with state.owned(tmp_path) as was_killed:
        assert not was_killed
