"""The reader of OpenRouter's rows has a version, which is raised when a row reads otherwise.

`python -m tests.core.catalog.test_openrouter_listing` writes what a new version reads.
"""

import json
from pathlib import Path
from typing import Any

from core.catalog.openrouter_listing import READER_VERSION, read

DATA = Path(__file__).parents[2] / "data"
ROWS = json.loads((DATA / "openrouter_rows.json").read_text())
GOLDEN = DATA / f"openrouter_models_{READER_VERSION}.json"


def models() -> list[dict[str, Any]]:
    """What the reader makes of the recorded rows."""
    return [read(row["id"], row).model_dump(mode="json", exclude={"raw"}, exclude_defaults=True) for row in ROWS]


def test_a_changed_reader_has_a_new_version() -> None:
    """If this fails, raise READER_VERSION and write its file: installations then read the present list once more."""
    assert models() == json.loads(GOLDEN.read_text())
    assert [*DATA.glob("openrouter_models_*.json")] == [GOLDEN]


if __name__ == "__main__":
    # One that exists is what its version is known for.
    with GOLDEN.open("x") as file:
        file.write("[\n" + ",\n".join(map(json.dumps, models())) + "\n]\n")
