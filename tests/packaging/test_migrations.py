"""Migrations under a door of the version before: squawk finds what would break it, or make it wait."""

from pathlib import Path

import pytest

from core.db.migrate import MIGRATIONS
from tests.packaging.tools import run

# The rules hold from here on; what was released before is not changed.
_EXPANDS_AFTER = "0081"
_WAITS_AFTER = "0086"

# They break the version before, which still runs.
_CONTRACTING = (
    "adding-required-field",
    "adding-not-nullable-field",
    "ban-drop-column",
    "ban-drop-table",
    "ban-truncate-cascade",
    "changing-column-type",
    "renaming-column",
    "renaming-table",
)
# They make others wait for as long as a large table takes to be read.
_SLOW = (
    "adding-foreign-key-constraint",
    "constraint-missing-not-valid",
    "disallowed-unique-constraint",
    "require-concurrent-index-creation",
)


def said(text: str, rules: tuple[str, ...]) -> set[str]:
    """Which of these rules a migration breaks."""
    done = run("squawk", "--assume-in-transaction", "--pg-version", "15.0", "--reporter", "gcc", text=text)
    assert "syntax-error" not in done.stdout, done.stdout
    assert done.stdout + done.stderr, "it always misses a timeout, which `instant migrate` sets"
    return {rule for rule in rules if f": {rule} " in done.stdout}


@pytest.mark.parametrize(
    "file",
    [file for file in sorted(MIGRATIONS.glob("*.sql")) if file.name[:4] > _EXPANDS_AFTER],
    ids=lambda file: file.name,
)
def test_a_migration_only_expands(file: Path) -> None:
    rules = _CONTRACTING + (_SLOW if file.name[:4] > _WAITS_AFTER else ())

    assert said(file.read_text(), rules) == set()


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("ALTER TABLE payments DROP COLUMN amount;", "ban-drop-column"),
        ("ALTER TABLE payments RENAME COLUMN amount TO atomic;", "renaming-column"),
        ("ALTER TABLE payments RENAME TO sales;", "renaming-table"),
        ("ALTER TABLE payments ALTER COLUMN amount TYPE bigint;", "changing-column-type"),
        ("ALTER TABLE payments ADD COLUMN mine integer NOT NULL;", "adding-required-field"),
        ("DROP TABLE payments;", "ban-drop-table"),
        ("CREATE INDEX mine ON payments (amount);", "require-concurrent-index-creation"),
        ("ALTER TABLE payments ADD CONSTRAINT mine CHECK (amount > 0);", "constraint-missing-not-valid"),
    ],
)
def test_a_planted_statement_is_found(statement: str, rule: str) -> None:
    assert said(statement, _CONTRACTING + _SLOW) == {rule}


def test_what_expands_is_not_found() -> None:
    """A new table with all that belongs to it, a column with a default, and a function anew."""
    text = """
    CREATE TABLE mine (id uuid PRIMARY KEY, account_id uuid NOT NULL REFERENCES accounts, at timestamptz NOT NULL);
    CREATE INDEX mine_at ON mine (at);
    ALTER TABLE payments ADD COLUMN mine boolean NOT NULL DEFAULT false;
    DROP FUNCTION theirs(uuid);
    CREATE FUNCTION theirs(id uuid) RETURNS integer LANGUAGE sql AS 'SELECT 1';
    """

    assert said(text, _CONTRACTING + _SLOW) == set()
