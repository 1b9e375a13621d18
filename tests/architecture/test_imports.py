"""Allowed imports: the tables of docs/design.md, checked in the imports of every file."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

OURS = {"api", "bench", "cli", "core", "deployments", "flows", "sandbox", "sqltypes", "tasks", "tests"}

# Five folders, five questions. `deployments` connects them and may import anything; so may the tools beside the five.
MAY_IMPORT = {
    "api": {"core", "deployments.launch", "deployments.prefect_server", "deployments.schedules"},
    "flows": {"tasks", "core"},
    "tasks": {"core"},
    "core": set[str](),
}

# One library, one place: allowed paths begin with one of these.
HOMES = {
    "prefect": ("tasks/", "flows/", "deployments/"),
    "fastapi": ("api/", "sandbox/"),
    "fastapi_offline": ("api/app.py",),
    "starlette": ("api/", "sandbox/"),
    "mcp": ("api/mcp/", "cli/mcp"),
    "mcp_types": ("api/mcp/", "cli/mcp"),
    "jinja2": ("api/pages/",),
    "markdown_it": ("api/pages/",),
    "markupsafe": ("api/pages/",),
    "limits": ("api/rate_limits.py", "api/door.py"),
    "redis": ("api/rate_limits.py",),
    "apprise": ("core/notices/sender_process.py",),
    "openai": ("core/providers/client.py", "core/providers/connections.py"),
    "opentelemetry": ("core/observability/tracing.py",),
    "prometheus_client": ("core/observability/",),
    "pythonjsonlogger": ("core/observability/logs.py",),
    "obstore": ("core/media/store.py",),
    "json_repair": ("core/providers/json_repair_process.py",),
    "matplotlib": ("core/reporting/chart.py",),
    "jsonschema": ("core/providers/answer_schema.py",),
    "referencing": ("core/providers/answer_schema.py",),
    "cryptography": ("core/secrets/",),
    "jwt": ("core/secrets/signing.py", "core/secrets/jwt_keys.py"),
    "pglast": ("sqltypes/",),
    "psycopg": ("core/db/", "sqltypes/"),
    "psycopg_pool": ("core/db/",),
    "aiosql": ("core/db/", "sqltypes/"),
    "yoyo": ("core/db/",),
    "x402": ("core/payments/x402_sdk.py", "sandbox/", "cli/buy", "deployments/demo"),
    "eth_account": ("sandbox/", "cli/buy", "cli/mcp_bridge.py", "deployments/demo"),
    "httpx": ("core/catalog/model_list.py", "core/catalog/sync.py", "cli/", "deployments/", "sandbox/"),
    "httpx2": (
        "cli/mcp_bridge.py",
        "core/providers/client.py",
        "core/providers/connections.py",
        "core/providers/transport.py",
    ),
    "aiohttp": ("core/net/http.py", "core/providers/transport.py", "core/net/json_client.py"),
}

FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("api", "cli", "core", "deployments", "flows", "sandbox", "sqltypes", "tasks")
    for path in (ROOT / folder).rglob("*.py")
)


def imported(path: str, source: str) -> Iterator[str]:
    """The dotted name of everything a file imports, anywhere in it, also by name at run time."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.split("/")[: -node.level] if node.level else []
            yield from (".".join([*package, *filter(None, [node.module]), alias.name]) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                yield str(node.args[0].value)


def violations(path: str, source: str) -> list[str]:
    """Imports of a file at this path that are not allowed."""
    folder = path.split("/")[0]
    found = []
    for name in imported(path, source):
        top = name.split(".")[0]
        allowed = MAY_IMPORT.get(folder, OURS) | {folder}
        if top in OURS and not any(f"{name}.".startswith(f"{module}.") for module in allowed):
            found.append(f"{path} imports {name}: {folder} may import {sorted(allowed)}")
        if top in HOMES and not path.startswith(HOMES[top]):
            found.append(f"{path} imports {name}: its home is {HOMES[top]}")
    return found


@pytest.mark.parametrize("path", FILES)
def test_imports(path: str) -> None:
    """Every file imports only what its folder may, and every library only in its place."""
    assert violations(path, (ROOT / path).read_text()) == []


def test_there_are_files_to_check() -> None:
    """The walk finds files in every folder, so that it cannot pass on an empty list."""
    assert {"core/secrets/vault.py", "core/db/pool.py", "flows/catalog_sync.py", "tasks/policy.py"} <= set(FILES)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("core/spend/reservations.py", "import prefect"),
        ("core/spend/reservations.py", "from prefect.client import get_client"),
        ("core/spend/reservations.py", "def later():\n    import fastapi"),
        ("core/spend/reservations.py", "from starlette.requests import Request"),
        ("core/spend/reservations.py", "from tasks import policy"),
        ("core/spend/reservations.py", "from tests import servers"),
        ("core/spend/reservations.py", "from sandbox.openrouter import create_app"),
        ("core/spend/reservations.py", "import psycopg"),
        ("api/metrics.py", "from prometheus_client import Counter"),
        ("core/spend/reservations.py", "from psycopg_pool import AsyncConnectionPool"),
        ("core/spend/reservations.py", "import openai.types"),
        ("core/spend/reservations.py", "if TYPE_CHECKING:\n    from cryptography import x509"),
        ("core/spend/reservations.py", "from importlib import import_module\nimport_module('prefect')"),
        ("core/spend/reservations.py", "__import__('flows.recovery')"),
        ("core/secrets/vault.py", "import httpx"),
        ("core/catalog/search.py", "import httpx"),
        ("core/catalog/search.py", "import x402"),
        ("core/payments/matching.py", "from x402.schemas import PaymentPayload"),
        ("core/db/pool.py", "from ...flows import recovery"),
        ("tasks/recovery.py", "from flows import recovery"),
        ("tasks/recovery.py", "import psycopg"),
        ("flows/recovery.py", "import deployments.launch"),
        ("flows/recovery.py", "from api.app import create_app"),
        ("api/app.py", "import prefect"),
        ("api/app.py", "from flows.recovery import recovery"),
        ("api/app.py", "from tasks import recovery"),
        ("api/app.py", "from deployments import dev"),
        ("api/app.py", "from deployments import *"),
        ("api/app.py", "import deployments.launcher"),
        ("api/app.py", "import httpx"),
        ("deployments/dev.py", "import fastapi"),
        ("cli/app.py", "import prefect"),
        ("sandbox/openrouter.py", "from prefect import flow"),
    ],
)
def test_a_planted_violation_is_found(path: str, source: str) -> None:
    """The checker finds every form of import."""
    assert len(violations(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("api/app.py", "from core import db\nfrom deployments.launch import Launcher\nimport fastapi"),
        ("api/app.py", "from deployments import launch"),
        ("api/app.py", "from . import buyers"),
        ("core/payments/x402_sdk.py", "import x402.mechanisms\nfrom core.db import Pool"),
        ("core/net/json_client.py", "import aiohttp"),
        ("core/spend/reservations.py", "import prefectly\nimport coreutils"),
        ("flows/recovery.py", "from prefect import flow\nfrom tasks import recovery as step\nfrom core import db"),
        ("deployments/serve.py", "from flows import recovery\nimport api.app\nimport prefect"),
    ],
)
def test_what_is_allowed_is_not_found(path: str, source: str) -> None:
    """The checker accepts allowed imports."""
    assert violations(path, source) == []
