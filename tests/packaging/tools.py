"""The programs that read our files: `make .packaging` installs some, Debian's packages have the others."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DEPLOYMENTS = ROOT / "deployments"
_FOLDER = ROOT / ".packaging"
_PATH = os.pathsep.join([f"{_FOLDER}/venv/bin", f"{_FOLDER}/helm", os.environ.get("PATH", os.defpath), "/usr/sbin"])


def tool(name: str) -> str:
    """Where a program is. A test that needs it is skipped where it is missing."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(name: str, *arguments: object, text: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Run one of them to its end."""
    command = [tool(name), *map(str, arguments)]
    return subprocess.run(command, input=text, text=True, capture_output=True, timeout=120, check=False, cwd=ROOT)


def accepted(name: str, *arguments: object, text: str | None = None) -> str:
    """What it prints about files that it has nothing against."""
    done = run(name, *arguments, text=text)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def asked(script: str, text: str) -> Any:
    """What a script says as JSON, in the environment of the readers, which is not ours."""
    if not (_FOLDER / "venv/bin/python").exists():
        pytest.skip("make .packaging has not run")
    command = [str(_FOLDER / "venv/bin/python"), "-c", script]
    done = subprocess.run(command, input=text, text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
