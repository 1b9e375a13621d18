"""What is forked is a process like any other."""

import os
import signal
import sys
import time
from pathlib import Path

from tests import forks


def _run(folder: Path, code: str, words: str = "", **environment: str) -> tuple[int, str, str]:
    """Run this code as a module."""
    (folder / "practice_module.py").write_text(code)
    done = forks.run("practice_module", "one", environment=environment, words=words, first=_In(folder))
    return done.returncode, done.stdout, done.stderr


class _In:
    """Makes the modules of a folder known to a process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self) -> None:
        sys.path.insert(0, str(self.folder))


def test_it_has_arguments_an_environment_and_files_of_its_own(tmp_path: Path) -> None:
    """And nothing of the environment in which everything was imported."""
    code = "import os, sys; print(sys.argv[1:], dict(os.environ), sys.stdin.read()); sys.exit('no more')"

    code, out, err = _run(tmp_path, code, "hello", HOME="/nowhere")

    assert out == "['one'] {'HOME': '/nowhere'} hello\n"
    assert (code, err) == (1, "no more\n")


def test_it_is_the_main_module_and_ends_like_one(tmp_path: Path) -> None:
    """What shall be done at the end is done, once."""
    code = "import atexit, os; atexit.register(print, 'end', os.getpid() != 1); print(__name__)"

    assert _run(tmp_path, code) == (0, "__main__\nend True\n", "")


def test_it_can_be_signalled(tmp_path: Path) -> None:
    """SIGTERM ends it unless it minds; whoever waits is told the signal."""
    (tmp_path / "practice_module.py").write_text("import signal; print('up', flush=True); signal.pause()")
    output = tmp_path / "output"
    for send, number in ((forks.Fork.terminate, signal.SIGTERM), (forks.Fork.kill, signal.SIGKILL)):
        output.unlink(missing_ok=True)
        fork = forks.start("practice_module", environment=os.environ, output=output, first=_In(tmp_path))
        while fork.poll() is None and not (output.exists() and output.read_text()):
            time.sleep(0.01)
        send(fork)

        assert fork.wait(30) == -number
        send(fork)  # which is gone
