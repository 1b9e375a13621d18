"""The layers of core: a package imports only packages below it, and only the names in their faces."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core"

# From the bottom up: a name may import the names on the lines above it, and those before it on its own line.
LAYERS = (
    ("failures", "settings", "amounts"),
    ("secrets", "net", "db", "process", "observability", "media", "evm"),
    ("providers",),
    ("catalog", "accounts"),
    ("resources",),
    ("spend",),
    ("executions",),
    ("payments",),
    ("reporting", "notices"),
    ("recovery",),
)
ORDER = {name: place for place, name in enumerate(name for layer in LAYERS for name in layer)}

PRODUCT = ("api", "bench", "cli", "core", "deployments", "drills", "flows", "sandbox", "tasks")
FILES = sorted(path.relative_to(ROOT).as_posix() for folder in PRODUCT for path in (ROOT / folder).rglob("*.py"))


def imported(source: str) -> Iterator[tuple[str, ...]]:
    """All modules of core that a file imports, as parts of the dotted name, anywhere in the file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (parts for name in names if (parts := tuple(name.split(".")))[0] == "core" and len(parts) > 1)


def faces() -> dict[str, set[str]]:
    """The face of each package of core: the names in its `__all__`."""
    found = {}
    for init in CORE.glob("*/__init__.py"):
        for node in ast.parse(init.read_text()).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                found[init.parent.name] = set(ast.literal_eval(node.value))
    return found


FACES = faces()


def violations(path: str, source: str) -> list[str]:
    """Imports from core by a file at this path that are not allowed."""
    folder, _, rest = path.partition("/")
    own = rest.split("/")[0].removesuffix(".py") if folder == "core" else None
    found = []
    for _, package, *inner in imported(source):
        if package == own or package not in ORDER:
            continue
        if own in ORDER and ORDER[package] > ORDER[own]:
            found.append(f"{path} imports {package}, which is above {own}")
        if package in FACES and inner and inner[0] not in FACES[package]:
            found.append(f"{path} imports {package}.{inner[0]}, which the face of {package} does not name")
    return found


@pytest.mark.parametrize("path", FILES)
def test_layers_and_faces(path: str) -> None:
    """Every file imports only lower layers, and only names in faces."""
    assert violations(path, (ROOT / path).read_text()) == []


def test_every_package_has_a_layer_and_a_face() -> None:
    """No package of core is left out, and faces name what exists."""
    packages = {path.name.removesuffix(".py") for path in CORE.iterdir() if not path.name.startswith("_")}

    assert packages == set(ORDER)
    assert set(FACES) == {path.parent.name for path in CORE.glob("*/__init__.py")}
    assert len(list(CORE.iterdir())) <= 23  # with __init__.py, py.typed or caches beside the twenty
    for package, names in FACES.items():
        modules = {path.stem for path in (CORE / package).glob("*.py")}
        assert package in ("db", "failures", "settings") or names <= modules, package


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("core/db/pool.py", "from core.payments import ledger"),
        ("core/settings/rules.py", "import core.db"),
        ("core/catalog/sync.py", "from core import resources"),
        ("core/spend/usage_log.py", "def later():\n    from core.executions import queue"),
        ("core/providers/client.py", "from core.notices.outbox import deliver"),
        ("api/app.py", "from core.executions import sends"),
        ("tasks/policy.py", "from core.providers.sse import assemble"),
        ("core/recovery.py", "from core.payments import facilitator_auth"),
    ],
)
def test_a_planted_violation_is_found(path: str, source: str) -> None:
    """Imports that point upwards, or past a face, are found in every form."""
    assert len(violations(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("core/payments/ledger.py", "from core.executions import lifecycle\nfrom core import db"),
        ("core/executions/steps.py", "from core.executions import sends, outcomes"),
        ("core/recovery.py", "from core.payments import settlement"),
        ("api/app.py", "from core.payments.ledger import claim\nfrom core.settings import settings"),
    ],
)
def test_what_is_allowed_is_not_found(path: str, source: str) -> None:
    """Imports from lower layers, and within a package, are accepted."""
    assert violations(path, source) == []
