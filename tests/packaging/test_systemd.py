"""The units: systemd reads them without a word, and they confine what they run."""

import re
import shutil
from pathlib import Path

import pytest

from core.settings import Settings
from deployments import entry
from tests.packaging.tools import DEPLOYMENTS, accepted, run

FOLDER = DEPLOYMENTS / "systemd"
# How each is started: a template has a port behind the @.
UNITS = {
    "instant-door@.service": "instant-door@4020.service",
    "instant-executor@.service": "instant-executor@9464.service",
    "instant-worker.service": "instant-worker.service",
    "instant-prefect.service": "instant-prefect.service",
    "instant-migrate.service": "instant-migrate.service",
}
# systemd's own scale from 0 to 10; it calls what is below 2 OK, and a unit that confines nothing has 9.6.
_EXPOSURE = 20


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine's root with our units, the targets that they name, and a program where ours is."""
    top = tmp_path_factory.mktemp("root")
    for folder in ("etc/systemd/system", "lib/systemd/system", "opt/instant/bin", "srv/instant"):
        (top / folder).mkdir(parents=True)
    targets = Path("/lib/systemd/system")
    for kind in ("*.target", "*.slice", "systemd-*.socket", "tmp.mount"):
        for file in targets.glob(kind):
            shutil.copyfile(file, top / "lib/systemd/system" / file.name)
    shutil.copy("/bin/true", top / "opt/instant/bin/python")
    for file in FOLDER.glob("*.service"):
        shutil.copyfile(file, top / "etc/systemd/system" / file.name)
    return top


def test_all_are_known() -> None:
    assert {file.name for file in FOLDER.glob("*.service")} == UNITS.keys()


@pytest.mark.parametrize("unit", UNITS.values())
def test_systemd_reads_it(root: Path, unit: str) -> None:
    """`verify` finds nothing: it only warns of what it does not know, so any word counts."""
    done = run("systemd-analyze", "verify", "--man=no", f"--root={root}", unit)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("unit", UNITS.values())
def test_it_is_confined(root: Path, unit: str) -> None:
    """`security` calls the exposure OK."""
    accepted("systemd-analyze", "security", "--offline=true", f"--threshold={_EXPOSURE}", f"--root={root}", unit)


def test_what_they_run_exists() -> None:
    """Every word is one of deployments/entry.py, and every variable of ours a setting."""
    texts = {name: (FOLDER / name).read_text() for name in UNITS}
    words = {word for text in texts.values() for word in re.findall(r"deployments\.entry ([\w-]+)", text)}
    named = {
        name.removeprefix("INSTANT_").lower() for text in texts.values() for name in re.findall(r"\bINSTANT_\w+", text)
    }
    owners = {name for name, text in texts.items() if "INSTANT_OWNER_DATABASE_URL" in text}

    assert words == {"door", "executor", "worker", "deploy", "prefect", "migrate"}
    assert words <= set(entry.WORDS)
    assert named <= Settings.model_fields.keys()
    assert owners == {"instant-migrate.service"}
    assert "INSTANT_MASTER_KEYS" not in texts["instant-prefect.service"]
    # Above the default of INSTANT_DRAIN_SECONDS.
    for name in ("instant-door@.service", "instant-executor@.service"):
        (stop,) = re.findall(r"(?m)^TimeoutStopSec=(\d+)$", texts[name])
        assert int(stop) >= Settings.model_fields["drain_seconds"].default + 45
