"""The image without an engine: the commands of its Dockerfile, run by hand in a folder that stands for its root."""

import ctypes
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.packaging.tools import DEPLOYMENTS, ROOT, asked

DOCKERFILE = DEPLOYMENTS / "image" / "Dockerfile"
USER = 10_001
_NO_NEW_PRIVS, _SET_MDWE = 38, 65  # <linux/prctl.h>

_PARSE = """
import json, sys
from io import BytesIO
from dockerfile_parse import DockerfileParser
parser = DockerfileParser(fileobj=BytesIO(sys.stdin.buffer.read()))
print(json.dumps([[step["instruction"], step["value"]] for step in parser.structure]))
"""

# What the steps write to, below the folder instead of below the root.
_PLACES = ("/opt/", "/src", "/locks", "/wheels", "/srv/instant", "/var/lib/instant")


@dataclass(frozen=True)
class Image:
    """What the steps made.

    Attributes:
        root: stands for the root of its file system.
        environment: of its processes.
        entrypoint: the command that the words of a service follow.
    """

    root: Path
    environment: dict[str, str]
    entrypoint: list[str]

    @contextmanager
    def container(
        self, words: list[str], environment: Mapping[str, str], state: Path, output: Path
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """One process of it, as its user and with no variable but its own; whoever starts it ends it.

        Args:
            words: the command of a service.
            environment: of the service; it replaces what the image sets.
            state: an empty folder, for /var/lib/instant.
            output: where all that it prints goes.
        """
        with output.open("ab") as printed:
            yield subprocess.Popen(
                [*self.entrypoint, *words],
                cwd=self.root / "srv/instant",
                env=self.in_folder(state) | environment,
                stdout=printed,
                stderr=subprocess.STDOUT,
                preexec_fn=confine,
                **user(),
            )

    def run(
        self, words: list[str], environment: Mapping[str, str], state: Path, seconds: float = 120
    ) -> "subprocess.CompletedProcess[str]":
        """The same to its end, as `docker run --rm`."""
        return subprocess.run(
            [*self.entrypoint, *words],
            cwd=self.root / "srv/instant",
            env=self.in_folder(state) | environment,
            text=True,
            capture_output=True,
            timeout=seconds,
            check=False,
            **user(),
        )

    def in_folder(self, state: Path) -> dict[str, str]:
        """Its environment, with a folder of one container for /var/lib/instant."""
        inner = str(self.root / "var/lib/instant")
        return {name: value.replace(inner, str(state)) for name, value in self.environment.items()}


@cache
def interpreter() -> Path:
    """A Python of this version, if possible one that the user of the image may run."""
    name = f"python3.{sys.version_info.minor}"
    for folder in ("/usr/local/bin", "/usr/bin"):
        python = Path(folder) / name
        if python.exists() and subprocess.run([python, "-c", "import ensurepip"], check=False).returncode == 0:
            return python
    return Path(sys.base_prefix) / "bin" / name


def user() -> dict[str, Any]:
    """The user of the image, if root runs the tests; otherwise, and if it could run no Python, whoever runs them."""
    is_possible = os.geteuid() == 0 and interpreter().is_relative_to("/usr")
    return {"user": USER, "group": USER, "extra_groups": []} if is_possible else {}


def confine() -> None:
    """What compose file, chart and units ask for: no new rights, and no memory both written and executed."""
    libc = ctypes.CDLL(None)
    libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_SET_MDWE, 1, 0, 0, 0)  # since Linux 6.3


def private_folder(path: Path) -> Path:
    """A folder that only the user of the image may enter."""
    path.mkdir(mode=0o700)
    if user():
        os.chown(path, USER, USER)
    return path


def steps() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile and their words."""
    return [(instruction, value) for instruction, value in asked(_PARSE, DOCKERFILE.read_text())]


def built(root: Path) -> Image:
    """Follow the Dockerfile. Only what makes its user is left out, which would change this machine."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(root)}
    environment |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    folder, stage, entrypoint = root, 0, [""]
    for instruction, value in steps():
        words = placed(value, root)
        if instruction == "FROM":
            stage += 1
            environment = environment if stage == 1 else {"PATH": "/usr/bin:/bin"}
        elif instruction == "WORKDIR":
            folder = Path(words)
            folder.mkdir(parents=True, exist_ok=True)
        elif instruction == "ENV":
            environment |= dict(pair.split("=", 1) for pair in words.replace("$PATH", environment["PATH"]).split())
        elif instruction == "COPY" and not words.startswith("--from"):
            *sources, target = words.split()
            for source in sources:
                copy(source, folder / target, len(sources) > 1 or target.endswith("/"))
        elif instruction == "RUN" and stage == 1:
            run(words, folder, environment)
        elif instruction == "ENTRYPOINT":
            entrypoint = json.loads(value)
    entrypoint[0] = str(root / "opt/instant/bin" / entrypoint[0])
    if not user():
        subprocess.run(["chmod", "-R", "a-w", str(root / "opt"), str(root / "srv")], check=True)
    return Image(root, environment, entrypoint)


def placed(words: str, root: Path) -> str:
    """The same words with the places of the image below `root`."""
    for place in _PLACES:
        words = words.replace(place, f"{root}{place}")
    return words


def run(command: str, folder: Path, environment: Mapping[str, str]) -> None:
    """Run what stands behind RUN, in the shell that docker uses; `python` is the image's version."""
    link = Path(environment["HOME"]) / "python/python"
    if not link.exists():
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(interpreter())
    path = f"{link.parent}{os.pathsep}{environment['PATH']}"
    told = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env=dict(environment) | {"PATH": path},
        text=True,
        capture_output=True,
        timeout=280,
        check=False,
    )
    assert told.returncode == 0, told.stdout[-2000:] + told.stderr[-4000:]


def copy(source: str, target: Path, is_folder: bool) -> None:
    """Copy what git knows of a folder or a file, as nothing else may reach an image."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", source]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [name for name in listed.split("\0") if name and (ROOT / name).exists()]
    assert names, source
    for name in names:
        if (ROOT / source).is_dir():
            place = target / Path(name).relative_to(source)
        else:
            place = target / Path(name).name if is_folder else target
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, place)
