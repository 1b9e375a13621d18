"""`instant dev`: start, refusal of a second one, kill, restart, and a first paid call."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests import servers

_PORTS = ("INSTANT_PORT", "INSTANT_OPENROUTER_PORT", "INSTANT_FACILITATOR_PORT", "INSTANT_PREFECT_PORT")


@pytest.fixture(scope="module")
def machine(passable: Path) -> Iterator[dict[str, str]]:
    """The environment of a separate machine: a state folder and four ports. All its processes end with the tests."""
    state_dir = passable / "machine"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INSTANT_", "PREFECT_"))}
    yield kept | {name: str(servers.free_port()) for name in _PORTS} | {"INSTANT_STATE_DIR": str(state_dir)}
    for process in _processes_of(state_dir):
        process.kill()


def _processes_of(state_dir: Path | str, argument: str = "") -> list[psutil.Process]:
    """All processes on this state folder, including its Postgres, or those of them with this argument."""
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            mine = process.environ().get("INSTANT_STATE_DIR") == str(state_dir) or str(state_dir) in command
            lives = process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if mine and lives and (not argument or argument in command):
            found.append(process)
    return found


def _instant(machine: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli", *arguments]
    return subprocess.run(command, env=machine, text=True, capture_output=True, timeout=120, check=False)


def _open_to_others(state_dir: Path) -> list[str]:
    """What other users may read, write or enter, except for Postgres's own files, whose folder nobody may enter."""
    found = [state_dir, *state_dir.rglob("*")]
    return [
        f"{path} {path.stat().st_mode:o}"
        for path in found
        if state_dir / "postgres" not in path.parents and path.lstat().st_mode & 0o067 and not path.is_symlink()
    ]


def _until(is_so: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_taken_port_stops_it_before_anything_is_started(machine: dict[str, str]) -> None:
    """It exits with code 2 and the setting to change; the state folder has no server in it."""
    import socket

    with socket.create_server(("127.0.0.1", int(machine["INSTANT_PREFECT_PORT"]))):
        done = _instant(machine, "dev")

    assert done.returncode == 2
    assert "INSTANT_PREFECT_PORT" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (Path(machine["INSTANT_STATE_DIR"]) / "postgres").exists()


def test_it_survives_being_killed_and_sells_a_first_call(machine: dict[str, str]) -> None:
    """A second one is refused while the first runs; kill -9 ends its children; the next start recovers and sells."""
    state_dir = Path(machine["INSTANT_STATE_DIR"])
    first = subprocess.Popen([sys.executable, "-m", "cli", "dev"], env=machine, stdout=subprocess.PIPE, text=True)
    watchdog = threading.Timer(120, first.kill)
    watchdog.start()
    assert first.stdout is not None
    told = []
    for line in first.stdout:
        told.append(line)
        if "Ctrl-C" in line:
            break
    watchdog.cancel()
    assert any(machine["INSTANT_PORT"] in line for line in told), "".join(told)

    second = _instant(machine, "dev")
    assert second.returncode == 2
    assert str(first.pid) in second.stderr

    first.kill()
    first.wait()
    first.stdout.close()
    done = _instant(machine | {"ONCE": "1"}, "dev", "--demo")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "0.01 USDC" in done.stdout
    assert "transaction  0x" in done.stdout
    assert f"http://127.0.0.1:{machine['INSTANT_PREFECT_PORT']}/runs/flow-run/" in done.stdout
    assert "flow-run/None" not in done.stdout
    assert _open_to_others(state_dir) == []
    _until(lambda: not _processes_of(state_dir), 10)


def test_a_child_that_dies_ends_everything_with_exit_1(machine: dict[str, str]) -> None:
    """The message quotes the end of the child's log, and SIGTERM ends the remaining children."""
    state_dir = Path(machine["INSTANT_STATE_DIR"])
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "dev"], env=machine, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    _until(lambda: bool(_processes_of(state_dir, "sandbox.openrouter")), 60)
    [victim] = _processes_of(state_dir, "sandbox.openrouter")
    victim.send_signal(signal.SIGKILL)
    output, _ = process.communicate(timeout=120)

    assert process.returncode == 1
    assert "practice-openrouter was ended by SIGKILL" in output
    assert "Traceback" not in output
    _until(lambda: not _processes_of(state_dir), 10)
