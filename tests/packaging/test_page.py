"""The commands of docs/containers.md, used for what they are as far as that goes without an engine and a cluster."""

import itertools
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.settings import Settings, load
from deployments import entry
from tests.docs.pages import blocks
from tests.packaging import images, test_chart, test_compose, test_systemd
from tests.packaging.tools import ROOT, accepted, run, tool

PAGE = "docs/containers.md"


def told(section: str) -> list[list[str]]:
    """The commands of a section in order, each as its words; what `&&` joins are two."""
    (code,) = (block.code for block in blocks() if (block.page, block.section) == (PAGE, section))
    lines = code.replace("\\\n", " ").replace("&&", "\n").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def options(words: list[str], name: str) -> list[str]:
    """The values of an option, however it is written."""
    apart = [value for option, value in itertools.pairwise(words) if option == name]
    return apart + [word.removeprefix(f"{name}=") for word in words if word.startswith(f"{name}=")]


def test_every_block_is_read() -> None:
    sections = [block.section for block in blocks() if block.page == PAGE]

    assert sections == ["The image", "Compose", "Kubernetes", "systemd"]


def test_the_image_is_built_from_what_there_is() -> None:
    """The Dockerfile parses, its context has what it copies, and the compose file runs the image of that name."""
    ((program, command, *words),) = told("The image")
    (file,) = options(words, "--file")
    (name,) = options(words, "--tag")
    copied = [
        source
        for instruction, value in images.steps()
        if instruction == "COPY" and not value.startswith("--from")
        for source in value.split()[:-1]
    ]

    assert (program, command) == ("docker", "build")
    assert ROOT / file == images.DOCKERFILE
    assert [source for source in copied if not (ROOT / words[-1] / source).exists()] == []
    assert copied
    services = test_compose.document()["services"].values()
    assert {service["image"] for service in services if "/" not in service["image"]} >= {name}
    assert name in yaml.safe_load((test_chart.CHART / "values.yaml").read_text())["image"]["repository"]


def test_compose_finds_what_the_commands_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a copy of the folder they leave every file that compose.yaml names; a door's settings can be read then."""
    cd, make, copy, up, once = told("Compose")
    assert ROOT / cd[1] == test_compose.FOLDER
    folder = tmp_path / "compose"
    shutil.copytree(test_compose.FOLDER, folder)
    for words in (make, copy):
        subprocess.run(words, cwd=folder, check=True)
    document = test_compose.document()
    services = document["services"]
    named = {file for service in services.values() for file in service.get("env_file", [])}
    named |= {secret["file"] for secret in document["secrets"].values()}

    assert named
    assert [file for file in named if not (folder / file).is_file()] == []
    assert [words[:2] for words in (up, once)] == [["docker", "compose"]] * 2
    assert up[2:] == ["up", "--detach", "--wait"]
    assert once[2:4] == ["run", "--rm"]
    assert once[4] in services
    # The rest is a command of `instant`, which the image's first word is unless it is one of its own.
    assert once[5] not in entry.WORDS
    subprocess.run(["instant", *once[5:], "--help"], check=True, capture_output=True, env=own_path())
    door = services["door"]
    given = test_compose.example() | {name: str(value) for name, value in door["environment"].items()}
    (tmp_path / "mounted").mkdir()
    for secret in door["secrets"]:
        shutil.copy(folder / "secrets" / secret, tmp_path / "mounted" / secret)
    read = settings_of(given, tmp_path / "mounted", tmp_path, monkeypatch)
    assert read.mode == "live"
    assert read.database_url is not None
    assert read.prefect_auth_string is not None


def own_path() -> dict[str, str]:
    """Our environment with the commands that are installed beside this Python."""
    return os.environ | {"PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def settings_of(given: dict[str, str], secrets: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What a process reads from these variables and a folder of secrets, and nothing else."""
    for name in [name for name in os.environ if name.startswith("INSTANT_")]:
        monkeypatch.delenv(name)
    for name, value in given.items():
        if name.startswith("INSTANT_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("INSTANT_SECRETS_DIR", str(secrets))
    monkeypatch.setenv("INSTANT_STATE_DIR", str(state / "state"))
    monkeypatch.delenv("INSTANT_MEDIA_URL", raising=False)
    return load()


# A value of its kind for each secret; INSTANT_NETWORKS is one because it may hold a facilitator's key.
VALUES = {
    "INSTANT_DATABASE_URL": "postgresql://instant_app@postgres/instant",
    "INSTANT_OWNER_DATABASE_URL": "postgresql://instant_owner@postgres/instant",
    "INSTANT_PREFECT_DATABASE_URL": "postgresql://prefect@postgres/prefect",
    "INSTANT_MASTER_KEYS": "practice:" + "A" * 43 + "=",
    "INSTANT_PREFECT_AUTH_STRING": "instant:practice",
    "INSTANT_NETWORKS": test_compose.example()["INSTANT_NETWORKS"],
    "PREFECT_REDIS_MESSAGING_URL": "redis://redis:6379/0",
}


def made_secrets() -> dict[str, list[str]]:
    """The Secrets that the page makes, each with its keys: a file's name is its key."""
    made = [words for words in told("Kubernetes") if words[0] == "kubectl"]
    assert {tuple(words[1:4]) for words in made} == {("create", "secret", "generic")}
    return {words[4]: options(words, "--from-file") for words in made}


def installed() -> list[dict[str, Any]]:
    """What helm makes of the values on the page; the schema of the chart accepts them."""
    *_, words = told("Kubernetes")
    assert words[:3] == ["helm", "install", "shop"]
    assert ROOT / words[3] == test_chart.CHART
    values = [part for value in options(words, "--set") for part in ("--set", value)]
    accepted("helm", "lint", "--strict", test_chart.CHART, *values)
    return test_chart.rendered(*values)


def test_the_secrets_are_those_of_the_chart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Secret that a pod mounts is made, no other, and with its keys alone the pod's settings can be read."""
    made, pods = made_secrets(), test_chart.pods(installed())
    mounted = {
        part: volume["secret"]["secretName"]
        for part, pod in pods.items()
        for volume in pod["spec"]["volumes"]
        if "secret" in volume
    }

    assert set(mounted.values()) == made.keys()
    for part in ("door", "executor", "worker", "migrate"):
        folder = tmp_path / part
        folder.mkdir()
        for key in made[mounted[part]]:
            (folder / key).write_text(VALUES[key])
        (container,) = pods[part]["spec"]["containers"]
        given = {one["name"]: one["value"] for one in container["env"] if "value" in one}
        read = settings_of(given, folder, tmp_path / part, monkeypatch)
        assert read.database_url is not None, part
        assert read.public_url == "https://shop.example", part
        assert (read.owner_database_url is not None) is (part == "migrate"), part
        assert (read.prefect_auth_string is not None) is (part != "migrate"), part
    # `migrate` upgrades Prefect's database only if its URL is there, and Prefect's own pods read these three.
    assert "INSTANT_PREFECT_DATABASE_URL" in made["instant-migrate"]
    wanted = {"INSTANT_PREFECT_DATABASE_URL", "INSTANT_PREFECT_AUTH_STRING", "PREFECT_REDIS_MESSAGING_URL"}
    assert set(made["instant-prefect"]) == wanted


def test_each_key_is_needed() -> None:
    """The comment beside each name in values.yaml says the same keys."""
    made = made_secrets()
    comments = dict(
        re.findall(r"(?m)^  (app|migrate|prefect): [\w-]+ # (.*)$", (test_chart.CHART / "values.yaml").read_text())
    )
    keys = {part: set(re.findall(r"(?:INSTANT|PREFECT)_[A-Z_]+", comment)) for part, comment in comments.items()}

    assert keys["app"] == set(made["instant"])
    assert keys["prefect"] == set(made["instant-prefect"])
    assert keys["migrate"] <= set(made["instant-migrate"])


def test_the_values_reach_every_pod() -> None:
    """The image of the page is what all containers run, and its URL is in every process of ours; others are refused."""
    *_, words = told("Kubernetes")
    values = dict(value.split("=", 1) for value in options(words, "--set"))
    found = test_chart.pods(installed())
    pictures = {
        container["image"].rsplit(":", 1)[0] for pod in found.values() for container in pod["spec"]["containers"]
    }

    assert pictures == {values["image.repository"]}
    for path in values:
        misspelt = [
            part for name, value in values.items() for part in ("--set", f"{name}{'x' * (name == path)}={value}")
        ]
        assert run("helm", "template", "shop", test_chart.CHART, *misspelt).returncode != 0, path


def test_the_units_are_installed_and_started(tmp_path: Path) -> None:
    """The account that all units run as is made, the files land where systemd looks, and each name is one of them."""
    account, sysusers, copy, reload, start, enable = told("systemd")
    target, folder = account[-1], copy[-1]
    root = tmp_path / "root"
    for place in (Path(target).parent, Path(folder)):
        (root / place.relative_to("/")).mkdir(parents=True)
    for words in (account, copy):
        placed = [f"{root}{word}" if word.startswith("/") else word for word in words]
        subprocess.run(["sh", "-c", " ".join(placed)], cwd=ROOT, check=True)
    there = {file.name for file in (root / folder.lstrip("/")).iterdir()}
    started = {f"{name}.service" for name in (*start[2:], *enable[3:])}

    assert sysusers == ["systemd-sysusers"]
    subprocess.run([tool(sysusers[0]), f"--root={root}"], check=True)
    accounts = {line.split(":")[0] for line in (root / "etc/passwd").read_text().splitlines()}
    units = [(root / folder.lstrip("/") / name).read_text() for name in there]
    assert {user for text in units for user in re.findall(r"(?m)^User=(.+)$", text)} <= accounts
    assert all("\nUser=" in text for text in units)
    assert reload == ["systemctl", "daemon-reload"]
    assert (start[:2], enable[:3]) == (["systemctl", "start"], ["systemctl", "enable", "--now"])
    assert there == test_systemd.UNITS.keys()
    assert started == set(test_systemd.UNITS.values())
