"""The types of the queries are those that `make queries` would write now."""

from pathlib import Path

import pytest

from sqltypes.generate import ROOT, written
from sqltypes.queries import QUERIES, nouns

FILES = [ROOT / "core" / "db" / "states.py", *(QUERIES / f"{noun}.py" for noun in nouns())]


@pytest.fixture(scope="module")
def current(empty_database: str) -> dict[Path, str]:
    """What would be written for the migrated schema."""
    return written(empty_database)


def test_all_types_are_current(current: dict[Path, str]) -> None:
    """Somebody who changes a query or a migration runs `make queries`."""
    assert [path for path, text in current.items() if path.read_text() != text] == []


def test_every_file_is_written(current: dict[Path, str]) -> None:
    """Each noun has its types, and types of a noun that is gone are gone."""
    assert list(current) == FILES
    assert sorted(QUERIES.glob("[a-z]*.py")) == FILES[1:]
