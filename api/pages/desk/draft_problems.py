"""Say what is wrong with a prompt by the labels of its form, and lead to the field."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from api.pages.desk.draft_form import Typed, is_kept

LABELS: Final[Mapping[str, str]] = {
    "title": "Title",
    "slug": "Address",
    "description": "Description",
    "modality": "Answer",
    "price_usdc": "Price of a call, USDC",
    "template": "Template",
    "parameters": "Inputs",
    "example": "Example",
    "example.inputs": "Examples of the inputs",
    "example.answer": "Example answer",
    "model": "Model",
    "max_output_tokens": "Most tokens of an answer",
    "timeout_seconds": "Most seconds of a call",
    "temperature": "Temperature",
    "reasoning_effort": "Reasoning",
    "prompt_shield": "Prompt shield",
    "inputs_in": "Buyers' words stand",
    "fallbacks": "Fallbacks",
    "tags": "Tags",
    "icon": "Icon",
    "answer_schema": "Form of the answer",
    "truncated_from_characters": "A text that was cut off counts from so many characters",
    "daily_spend_cap_usd": "Most model cost in a day, USD",
    "monthly_spend_cap_usd": "In a month",
    "most_per_call_usd": "Of one call",
    "providers": "Only these providers",
    "providers.ignore": "Never these",
    "providers.order": "These first",
    "zdr": "Zero data retention",
}
"""What people call the fields of a prompt, on its form and where it is refused."""

_IDS: Final = {
    "example.answer": "example_answer",
    "providers": "providers_only",
    "providers.ignore": "providers_ignore",
    "providers.order": "providers_order",
}
_CELLS: Final = {
    "name": "name",
    "type": "kind",
    "description": "what it says to the buyer",
    "default": "if left empty",
    "values": "choices",
    "max_length": "most characters",
    "max_bytes": "most bytes",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something to mend.

    Attributes:
        label: of the field; empty for what concerns the whole form.
        anchor: the id of the field on the form; empty if it has none.
        sentence: what is wrong, without its subject.
    """

    label: str
    anchor: str
    sentence: str


def in_words(wrong: Mapping[str, str]) -> list[Problem]:
    """Put the problems of a document into the words of its form."""
    return [Problem(_label(name), _anchor(name), sentence) for name, sentence in wrong.items()]


def at_rows(typed: Typed, wrong: Mapping[str, str]) -> dict[str, str]:
    """Name problems of inputs by their rows: a document leaves out the rows that nobody has typed into."""
    rows = [index for index, row in enumerate(typed.rows) if is_kept(row)]
    return {_at(rows, name): sentence for name, sentence in wrong.items()}


def _at(rows: Sequence[int], name: str) -> str:
    head, *rest = name.split(".")
    if head != "parameters" or not rest or not rest[0].isdecimal() or int(rest[0]) >= len(rows):
        return name
    return ".".join([head, str(rows[int(rest[0])]), *rest[1:]])


def _label(name: str) -> str:
    head, *rest = name.split(".")
    if head == "parameters" and rest and rest[0].isdecimal():
        cell = _CELLS.get(rest[1], rest[1]) if len(rest) > 1 else ""
        return f"Input {int(rest[0]) + 1}" + (f", {cell}" if cell else "")
    return LABELS.get(name) or LABELS.get(head, name)


def _anchor(name: str) -> str:
    head, *rest = name.split(".")
    if head == "parameters":
        return f"in-{rest[1] if len(rest) > 1 and rest[1] in _CELLS else 'name'}-{rest[0]}" if rest else ""
    return _IDS.get(name, head if head in LABELS and head != "example" else "")
