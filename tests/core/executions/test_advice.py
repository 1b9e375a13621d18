"""Sellers get advice about every failure that there is."""

import re
from pathlib import Path

import pytest

from core.executions import advice
from core.providers.errors import PROVIDER_ERRORS

CORE = Path(advice.__file__).parents[1]
# Causes in the code: the last argument of a failure, or a literal that SQL writes into `detail`.
LITERAL = re.compile(r'ExecutionFailed\(\s*"\w+",\s*"\w+",\s*"(\w+)"')
WRITTEN = re.compile(r"detail = (?:CASE .*?THEN '(\w+)' ELSE '(\w+)' END|'(\w+)')")


def causes() -> set[str]:
    """Every cause that core names."""
    source = "\n".join(path.read_text() for path in CORE.rglob("*.py"))
    queries = "\n".join(path.read_text() for path in CORE.rglob("*.sql"))
    return set(LITERAL.findall(source)) | {name for names in WRITTEN.findall(queries) for name in names if name}


def test_every_cause_has_its_advice() -> None:
    """No cause falls back on the general advice of its fault."""
    assert {"key_missing", "prompt_not_text", "landed_late", "takeover_limit"} <= causes()
    assert causes() - advice.ADVICE.keys() - PROVIDER_ERRORS.keys() == set()


@pytest.mark.parametrize("fault", ["buyer", "creator", "provider", "ours"])
def test_causes_that_nobody_thought_of(fault: str) -> None:
    """An unlisted cause, such as a new status or a guard's code, gets the advice of its fault."""
    assert advice.advice_for("provider_599", fault)
    assert advice.advice_for("internal_TypeError", fault)
    assert advice.advice_for(None, fault)
    assert "out of credit" in str(advice.advice_for("provider_402", "creator"))


def test_what_succeeded_needs_none() -> None:
    assert advice.advice_for(None, None) is None
