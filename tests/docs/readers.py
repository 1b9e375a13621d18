"""A reader who types what a page says: one shell for all of its commands, in order, in a home of their own."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.docs.pages import ROOT, Block
from tests.servers import TLS

CLONE = "x402-instant"
"""The folder in the reader's home that the repository was cloned into, as the pages say."""

# On a busy machine a whole shop takes minutes to start.
_PATIENCE_SECONDS = 240
_SHOWN = 3000


@dataclass
class Reader:
    """One reader of one page.

    Attributes:
        home: their home.
        places: what stands in the page for what stands here instead, such as ports.
        shell: Bash, which ends with the first command that fails.
        servers: the shells of blocks that keep running, with what they print.
        printed: what the last block of commands printed.
        log: the place of each such block, the seconds that it took, and all that it printed.
    """

    home: Path
    places: Mapping[str, str]
    shell: "subprocess.Popen[str]"
    servers: dict[int, Path] = field(default_factory=dict)
    printed: str = ""
    log: list[str] = field(default_factory=list)

    def read(self, blocks: Sequence[Block]) -> None:
        """Do what the blocks say, one after the other."""
        for block in blocks:
            match block.mark, block.language:
                case ("not run" | "run by" | "tested by", _) | (_, "mermaid"):
                    continue
                case "file", _:
                    self._write(block)
                case "like", "json":
                    assert _members(json.loads(block.code)) <= _members(_last_document(self.printed)), block.place
                case "keeps running", "sh":
                    self._start(block)
                case "", "sh":
                    self._run(block)
                case _:
                    pytest.fail(f"{block.place}: nobody knows what to do with this block")

    def here(self, text: str) -> str:
        """A text of the page with the places of this machine."""
        return replaced(text, self.places)

    def _write(self, block: Block) -> None:
        """Save a file in the folder where the shell is."""
        (Path(self._say("pwd").strip()) / block.told).write_text(self.here(block.code))

    def _run(self, block: Block) -> None:
        script, out, err = self._script(block)
        started = time.monotonic()
        # On a line of its own: within a list such as `source … && echo`, Bash would go on after a failure.
        if self._say(f"source {script} </dev/null >{out} 2>{err}\necho done") != "done\n":
            servers = "".join(f"\n--- {log.name}\n{log.read_text()[-_SHOWN:]}" for log in self.servers.values())
            pytest.fail(
                f"{block.place}: a command failed; Bash says where (line N of the block):\n"
                f"{out.read_text()[-_SHOWN:]}\n{err.read_text()[-_SHOWN:]}{servers}",
                pytrace=False,
            )
        self.printed = out.read_text()
        self.log.append(f"{block.place}: {time.monotonic() - started:.1f} s\n{self.printed}{err.read_text()}")

    def _start(self, block: Block) -> None:
        script, out, _err = self._script(block)
        pid = int(self._say(f"(source {script}) </dev/null >{out} 2>&1 & echo $!"))
        self.servers[pid] = out
        if block.told:
            until(lambda: answers(self.here(block.told)), lambda: psutil.pid_exists(pid), out)

    def _script(self, block: Block) -> tuple[Path, Path, Path]:
        name = self.home / f"{Path(block.page).stem}-{block.line}"
        script, out, err = (name.with_suffix(suffix) for suffix in (".sh", ".out", ".err"))
        script.write_text(self.here(block.code))
        out.touch()
        err.touch()
        return script, out, err

    def _say(self, command: str) -> str:
        """Type a command; the line that it prints, or nothing if the shell ends with it."""
        assert self.shell.stdin
        assert self.shell.stdout
        with suppress(BrokenPipeError):
            self.shell.stdin.write(f"{command}\n")
            self.shell.stdin.flush()
        return self.shell.stdout.readline()


@contextmanager
def reading(home: Path, environment: Mapping[str, str], places: Mapping[str, str], folder: Path) -> Iterator[Reader]:
    """A reader whose shell is in this folder; what still runs at the end is ended."""
    shell = subprocess.Popen(
        ["bash", "--norc", "-euo", "pipefail"],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    reader = Reader(home, places, shell)
    try:
        yield reader
    finally:
        started = psutil.Process(shell.pid).children(recursive=True) if shell.poll() is None else []
        started += [one for pid in reader.servers for one in _family(pid)]
        for process in started:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        _, left = psutil.wait_procs(set(started), 10)
        for process in left:
            process.kill()
        shell.kill()
        shell.communicate()


def environment_of(home: Path, **others: str) -> dict[str, str]:
    """The environment of a reader: nothing of ours is set, and what the pages tell them to install is on the path.

    The lines that install something find it installed, or fail: no index is asked.
    """
    programs = [str(home / CLONE / ".venv" / "bin"), os.environ.get("PATH", os.defpath)]
    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR", "SSL_CERT_FILE") if name in os.environ}
    own = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "PATH": os.pathsep.join(programs), "PIP_NO_INDEX": "1"}
    return kept | own | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"} | others


def clone(home: Path) -> Path:
    """The repository in the reader's home, with what is installed, and without a state of its own."""
    folder = home / CLONE
    without = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info")
    shutil.copytree(ROOT, folder, ignore=without)
    for name in (".venv", ".ci"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def until(is_so: Callable[[], bool], lives: Callable[[], bool], log: Path) -> None:
    """Wait for something that a server does; if it does not, or lives no more, fail with the end of its log."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not is_so():
        if not lives() or time.monotonic() > deadline:
            pytest.fail(f"{log.name}: it does not serve:\n{log.read_text()[-_SHOWN:]}", pytrace=False)
        time.sleep(0.05)


def replaced(text: str, places: Mapping[str, str]) -> str:
    """A text with what stands here for what stands there, in one pass: what was put in is not replaced again."""
    longest_first = sorted(places, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), lambda found: places[found[0]], text) if places else text


def _family(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    return []


def answers(url: str) -> bool:
    """Whether a server answers 200 at this URL."""
    try:
        return httpx.get(url, trust_env=False, timeout=5, verify=TLS).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _members(document: Any, above: str = "") -> set[str]:
    """The names of all members of a JSON document, each with those above it."""
    if isinstance(document, list):
        return {name for one in document for name in _members(one, f"{above}[]")}
    if not isinstance(document, dict):
        return set()
    names = {f"{above}.{name}" for name in document}
    return names.union(*(_members(value, f"{above}.{name}") for name, value in document.items()))


def _last_document(printed: str) -> Any:
    """The last JSON document in an output."""
    lines = printed.rstrip().splitlines()
    for start in range(len(lines) - 1, -1, -1):
        with suppress(ValueError):
            document = json.loads("\n".join(lines[start:]))
            if isinstance(document, dict | list):
                return document
    pytest.fail("the command before printed no JSON")
