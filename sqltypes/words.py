"""The words that columns may hold, as Python names."""

from collections.abc import Iterator
from itertools import groupby
from typing import get_args

from core.failures import Fault, OutcomeCode
from core.settings import Mode
from sqltypes.schema import Schema

# A column with a CHECK that lists words has its name here. Columns with the same words share the first name.
NAMES = {
    "installation.mode": "Mode",
    "payments.state": "PaymentState",
    "payments.verification": "Verification",
    "executions.state": "ExecutionState",
    "executions.kind": "ExecutionKind",
    "executions.code": "OutcomeCode",
    "executions.fault": "Fault",
    "executions.leak": "Leak",
    "attempts.reason": "AttemptReason",
    "refunds.state": "RefundState",
    "refund_transfers.state": "TransferState",
    "usage_log.outcome": "Outcome",
    "usage_rollup.span": "Span",
    "resource_versions.modality": "Modality",
    "resource_versions.reasoning_effort": "ReasoningEffort",
    "resource_versions.prompt_shield": "PromptShield",
    "executions.streamed": "Streamed",
    "resource_versions.inputs_in": "InputsIn",
    "models.modality": "ModelModality",
    "models.tier": "Tier",
    "catalog_syncs.outcome": "SyncOutcome",
    "workers.kind": "WorkerKind",
    "notices.rule": "NoticeRule",
    "key_events.event": "KeyEvent",
    "key_events.actor": "KeyActor",
    "notice_deliveries.state": "DeliveryState",
    "notice_deliveries.event": "WebhookEvent",
}

# What stands elsewhere, because it is no word of the database alone.
ELSEWHERE = {
    "Fault": ("core.failures", Fault),
    "OutcomeCode": ("core.failures", OutcomeCode),
    "Mode": ("core.settings", Mode),
}


def python_names(schema: Schema) -> dict[frozenset[str], str]:
    """The name of each set of words.

    Raises:
        LookupError: if the schema lists words for a column whose name is not told here, or the other way round, or
            others than Python does.
    """
    listed = {
        f"{table}.{column}": fact.words
        for table, columns in schema.tables.items()
        for column, fact in columns.items()
        if fact.words
    }
    names: dict[frozenset[str], str] = {}
    for column, name in NAMES.items():
        words = listed.pop(column)
        if name in ELSEWHERE and words != set(get_args(ELSEWHERE[name][1])):
            raise LookupError(f"{column} has other words than {name}")
        names.setdefault(words, name)
    if nameless := sorted(column for column, words in listed.items() if words not in names):
        raise LookupError(f"sqltypes/words.py has no name for the words of {', '.join(nameless)}")
    return names


def module(schema: Schema, names: dict[frozenset[str], str]) -> str:
    """The text of `core/db/states.py`."""
    lines = [
        '"""The words that the schema allows in a column. Written by `make queries`; do not edit."""',
        "from typing import Literal\n",
        *(f"from {module} import {', '.join(homed)}" for module, homed in _homes()),
        f"\n__all__ = {sorted(names.values())}\n",
    ]
    for words, name in names.items():
        if name in ELSEWHERE:
            continue
        lines.append(f"{name} = Literal[{', '.join(map(repr, schema.order(words)))}]")
    return "\n".join(lines)


def _homes() -> Iterator[tuple[str, list[str]]]:
    """Yield each module that has names of `ELSEWHERE`, with these."""
    for module, items in groupby(ELSEWHERE.items(), key=lambda item: item[1][0]):
        yield module, [name for name, _ in items]
