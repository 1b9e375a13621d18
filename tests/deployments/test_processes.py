"""Child processes: logged, watched, and ended with their parent."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from deployments.processes import Children, Died

_SLEEP = "import time; print('awake', flush=True); time.sleep(600)"
_STUBBORN_PARENT = (
    "import subprocess, sys, time; subprocess.Popen(['sleep', '600']); print('up', flush=True); time.sleep(600)"
)
_PARENT = f"""
import asyncio, os, sys
from pathlib import Path
from deployments.processes import Children

async def main():
    async with Children(Path(sys.argv[1]), Path(sys.argv[1])) as children:
        child = await children.start("child", sys.executable, "-c", {_SLEEP!r}, environment=dict(os.environ))
        print(child.process.pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def _gone(pid: int) -> bool:
    """Whether it has ended, or is a zombie that waits for its parent."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _until_gone(*pids: int) -> None:
    """Wait until it is gone: signals are delivered asynchronously."""
    deadline = time.monotonic() + 10
    while not all(_gone(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def test_a_child_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    """The sentence names the child, how it ended, and the last lines of its log."""
    async with Children(tmp_path / "logs", tmp_path) as children:
        await children.start(
            "oracle", sys.executable, "-c", "import sys; sys.exit('no more')", environment=dict(os.environ)
        )

        with pytest.raises(Died, match=r"(?s)oracle ended with code 1.*oracle\.log:\n  no more"):
            await children.died


async def test_leaving_ends_every_child_and_what_it_started(tmp_path: Path) -> None:
    async with Children(tmp_path / "logs", tmp_path) as children:
        child = await children.start("family", sys.executable, "-c", _STUBBORN_PARENT, environment=dict(os.environ))
        while not (tmp_path / "logs" / "family.log").read_text():  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.01)
        family = [child.process.pid, *(one.pid for one in psutil.Process(child.process.pid).children())]
        assert len(family) == 2

    _until_gone(*family)


async def test_a_run_that_fails_is_told_and_one_that_succeeds_is_not(tmp_path: Path) -> None:
    async with Children(tmp_path / "logs", tmp_path) as children:
        await children.run("good", sys.executable, "-c", "", environment=dict(os.environ))
        with pytest.raises(Died, match="bad ended with code 3"):
            await children.run("bad", sys.executable, "-c", "raise SystemExit(3)", environment=dict(os.environ))
        assert not children.died.done()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children for a parent that was killed")
def test_a_parent_killed_outright_takes_its_children_along(tmp_path: Path) -> None:
    """A process that gets SIGKILL runs no cleanup, so the kernel ends its children."""
    parent = subprocess.Popen([sys.executable, "-c", _PARENT, tmp_path], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert not _gone(pid)

    parent.kill()
    parent.wait()
    parent.stdout.close()
    _until_gone(pid)
