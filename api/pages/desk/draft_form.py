"""The form of a prompt: its fields as somebody types them, and the document that they mean."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, get_args

from api.pages.forms import Form
from core.db.states import InputsIn, Modality, PromptShield, ReasoningEffort
from core.resources.draft import CAPS, Draft
from core.resources.parameters import Parameter, as_typed
from core.resources.template import USER_MESSAGE

MOST_ROWS: Final = 64
CHOICES: Final[Mapping[str, Sequence[str]]] = {
    "modality": get_args(Modality),
    "prompt_shield": get_args(PromptShield),
    "inputs_in": get_args(InputsIn),
    "reasoning_effort": get_args(ReasoningEffort),
    "type": get_args(Parameter.model_fields["type"].annotation),
}
"""What can be chosen, by the field."""

# In a document, what is left out has its default.
_TEXTS: Final = (
    *("slug", "title", "description", "modality", "model", "price_usdc", "max_output_tokens", "temperature"),
    *("timeout_seconds", "reasoning_effort", "prompt_shield", "inputs_in", "answer_schema"),
    *("truncated_from_characters", *CAPS, "icon"),
)
_LISTS: Final = ("fallbacks", "tags")
_BOXES: Final = ("allows_user_message", "zdr", "listed")
_CHOICES_OF_PROVIDERS: Final = ("only", "ignore", "order")
_ROW: Final = ("name", "type", "description", "default", "values", "max_length", "max_bytes", "example")


@dataclass(frozen=True, slots=True)
class Row:
    """An input of the prompt, as it is typed; `example` is its value in the example that buyers see."""

    name: str = ""
    type: str = "text"
    description: str = ""
    required: bool = True
    default: str = ""
    values: str = ""
    max_length: str = ""
    max_bytes: str = ""
    example: str = ""


@dataclass(frozen=True, slots=True)
class Typed:
    """A prompt, as it is typed.

    Attributes:
        texts: each field that is one text, a number or a choice, and each list in lines or with commas.
        boxes: the names of what is ticked.
        rows: its inputs.
        revision: of the resource that was read; empty for a new one.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    boxes: frozenset[str] = frozenset({"listed"})
    rows: Sequence[Row] = ()
    revision: str = ""

    def is_empty(self, problem: str) -> bool:
        """Whether nothing was typed yet where a problem is, such as `parameters.0.name`."""
        name, *rest = problem.split(".")
        if name == "parameters" and len(rest) == 2 and rest[0].isdecimal() and int(rest[0]) < len(self.rows):
            return not getattr(self.rows[int(rest[0])], rest[1], "")
        return not self.texts.get(name)


def read(form: Form) -> Typed:
    """Read what was typed, as it was."""
    names = (
        *_TEXTS,
        *_LISTS,
        "example_answer",
        "example_message",
        *(f"providers_{one}" for one in _CHOICES_OF_PROVIDERS),
    )
    texts = {name: form.text(name) for name in names} | {"template": form.raw("template")}
    columns = {name: form.list(f"input_{name}") for name in _ROW}
    required = set(form.list("input_required"))
    count = min(max((len(column) for column in columns.values()), default=0), MOST_ROWS)
    rows = [
        Row(
            **{name: column[index].strip() if index < len(column) else "" for name, column in columns.items()},
            required=str(index) in required,
        )
        for index in range(count)
    ]
    boxes = frozenset(name for name in _BOXES if form.chosen(name))
    return Typed(texts, boxes, rows, form.text("revision"))


def document_of(typed: Typed) -> dict[str, object]:
    """Return the document that was meant, for `core.resources.draft`: what is empty has its default.

    A row without a name is left out, unless something else was typed into it.
    """
    document: dict[str, object] = {name: typed.texts[name] for name in _TEXTS if typed.texts.get(name)}
    document |= {name: listed for name in _LISTS if (listed := _words(typed.texts.get(name, "")))}
    if typed.texts.get("template", "").strip():
        document["template"] = typed.texts["template"]
    document |= {name: name in typed.boxes for name in _BOXES}
    rows = kept_rows(typed)
    document["parameters"] = [_parameter(row) for row in rows]
    choice = {
        name: words for name in _CHOICES_OF_PROVIDERS if (words := _words(typed.texts.get(f"providers_{name}", "")))
    }
    if choice:
        document["providers"] = choice
    inputs = {row.name: as_typed(row.type, row.example) for row in rows if row.example}
    if message := typed.texts.get("example_message"):
        inputs[USER_MESSAGE] = message
    answer = typed.texts.get("example_answer", "")
    if answer or inputs:
        document["example"] = {"inputs": inputs, "answer": answer}
    return document


def kept_rows(typed: Typed) -> list[Row]:
    """Return the rows that somebody has typed into."""
    return [row for row in typed.rows if is_kept(row)]


def is_kept(row: Row) -> bool:
    """Whether somebody has typed into a row."""
    return any(getattr(row, name) for name in _ROW if name != "type")


def typed_of(draft: Draft, revision: int) -> Typed:
    """Return the form of a draft, for changing it."""
    texts = {name: _text(getattr(draft, name)) for name in (*_TEXTS, "template")}
    texts |= {name: ", ".join(getattr(draft, name)) for name in _LISTS}
    if draft.providers is not None:
        texts |= {f"providers_{name}": ", ".join(slugs) for name, slugs in draft.providers.as_request().items()}
    inputs = draft.example.inputs if draft.example else {}
    if draft.example is not None:
        texts |= {"example_answer": draft.example.answer, "example_message": _text(inputs.get(USER_MESSAGE))}
    rows = [_row(parameter, inputs.get(parameter.name)) for parameter in draft.parameters]
    return Typed(texts, frozenset(name for name in _BOXES if getattr(draft, name)), rows, str(revision))


def _row(parameter: Parameter, example: object) -> Row:
    return Row(
        name=parameter.name,
        type=parameter.type,
        description=parameter.description,
        # An empty default, which no form can tell from none, means that nobody has to fill it in.
        required=parameter.required and parameter.default != "",
        default=parameter.default or "",
        values="\n".join(parameter.values or ()),
        max_length=_text(parameter.max_length),
        max_bytes=_text(parameter.max_bytes),
        example=_text(example),
    )


def _parameter(row: Row) -> dict[str, object]:
    given = {
        "name": row.name,
        "type": row.type,
        "description": row.description,
        "required": row.required,
        "default": row.default or None,
        "values": [line.strip() for line in row.values.split("\n") if line.strip()] or None,
        "max_length": row.max_length or None,
        "max_bytes": row.max_bytes or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _words(text: str) -> list[str]:
    """Split a list that is typed with commas or in lines."""
    return [word.strip() for word in text.replace("\n", ",").split(",") if word.strip()]


def _text(value: object) -> str:
    """Write a value as it is typed."""
    match value:
        case None:
            return ""
        case str():
            return value
        case Decimal():
            return f"{value:f}"
    return json.dumps(value, ensure_ascii=False)
