"""Define the parameters of a prompt: what buyers fill in, of which type, and how long it may be.

Every value is text when it is stored, compared and sent; numbers, yes or no, and choices are checked before that.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from core.resources import attachments

NUMBER_LIMIT: Final = 40
"""Most characters of a number."""
CHOICE_LIMIT: Final = 64
"""Most values of an enum."""

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
# Postgres text cannot hold NUL, and UTF-8 cannot hold half of a surrogate pair; JSON can hold both.
UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def as_text(value: object) -> object:
    """Write a number, true or false as text, as the model gets it; anything else stays as it is."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            # Python refuses to write longer ones; no limit here allows half as many digits.
            return str(value) if abs(value) < 10**NUMBER_LIMIT else "9" * (NUMBER_LIMIT + 1)
        case float() if value.is_integer():
            return as_text(int(value))
        case float():
            return f"{Decimal(repr(value)):f}"
    return value


Choice = Annotated[str, BeforeValidator(as_text), Field(min_length=1, max_length=500)]


class Parameter(BaseModel):
    """One value that a buyer fills in.

    Attributes:
        name: the name in the tag.
        type: what a value is. A picture or file is its address or its `data:` URL.
        description: shown to buyers in the offer.
        required: whether a buyer must send it, unless it has a default.
        default: replaces an absent value; None: the empty string does.
        values: of an enum: all that a buyer may choose from.
        max_length: the most characters of a text; None: as many as any value may have.
        max_bytes: the most bytes of a picture or file in a `data:` URL; None: as many as any may have.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    name: str
    type: Literal["text", "enum", "integer", "number", "boolean", "image", "file"] = "text"
    description: str = ""
    required: bool = True
    default: Annotated[str | None, BeforeValidator(as_text)] = None
    values: Annotated[tuple[Choice, ...] | None, Field(max_length=CHOICE_LIMIT, strict=False)] = None
    # Text too, because a YAML file gives every number as text.
    max_length: int | None = Field(default=None, ge=1, strict=False)
    max_bytes: int | None = Field(default=None, ge=1, strict=False)

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if not attachments.is_kind(self.type) and self.max_bytes is not None:
            raise ValueError("max_bytes needs the type image or file; text has a max_length")
        if self.type != "text" and self.max_length is not None:
            raise ValueError("max_length needs the type text; a picture or file has max_bytes")
        if attachments.is_kind(self.type) and self.default is not None:
            raise ValueError("a picture or file has no default")
        if (self.type == "enum") != bool(self.values):
            raise ValueError("the type enum needs values, and no other type has them")
        if self.values is not None and (
            len({*self.values}) < len(self.values) or any(map(UNSTORABLE.search, self.values))
        ):
            raise ValueError("values names one twice, or has a character that cannot be stored")
        if self.default and self.type in _FORMS and (problem := self.problem(self.default)):
            raise ValueError(f"the default {problem}")
        return self

    def most_characters(self, value_limit: int) -> int:
        """The most characters of its value.

        Args:
            value_limit: the most characters of any value, which may have been lowered since this was published.
        """
        match self.type:
            case "enum":
                return max(map(len, self.values or ("",)))
            case "integer" | "number":
                return NUMBER_LIMIT
            case "boolean":
                return len("false")
        return value_limit if self.max_length is None else min(self.max_length, value_limit)

    def most_text_bytes(self, value_limit: int) -> int:
        """The most bytes of its value in a prompt, as UTF-8; `value_limit` as above."""
        if self.values is not None:
            return max(len(value.encode()) for value in self.values)
        # UTF-8 has at most four bytes per character; digits and true or false have one.
        return self.most_characters(value_limit) * (1 if self.type in _FORMS else 4)

    def most_bytes(self, file_limit: int) -> int:
        """The most bytes of a picture or file in a `data:` URL; 0 for text.

        Args:
            file_limit: the most bytes of any picture or file, which may have been lowered since this was published.
        """
        if not attachments.is_kind(self.type):
            return 0
        return file_limit if self.max_bytes is None else min(self.max_bytes, file_limit)

    def problem(self, value: str) -> str | None:
        """Say what is wrong with a value that is not just text, as the end of a sentence; None if nothing is."""
        if self.type not in _FORMS:
            return None
        is_right, wanted = _FORMS[self.type]
        if self.values is not None:
            return None if value in self.values else f"must be one of: {', '.join(self.values)}"
        if len(value) > NUMBER_LIMIT:
            return f"has more than {NUMBER_LIMIT} characters"
        return None if is_right(value) else f"must be {wanted}"

    def json_schema(self, value_limit: int, file_limit: int) -> dict[str, object]:
        """Return the JSON Schema of a value, with the limits of this installation."""
        told: dict[str, object] = {"type": "string", "description": self.description}
        if attachments.is_kind(self.type):
            return told | attachments.schema(self.type, self.most_bytes(file_limit))
        match self.type:
            case "enum":
                told["enum"] = list(self.values or ())
            case "text":
                told["maxLength"] = self.most_characters(value_limit)
            case _:
                told["type"] = self.type
        return (
            told
            if self.default is None or (self.type in _FORMS and not self.default)
            else told | {"default": _typed(self.type, self.default)}
        )

    def sample(self, value_limit: int) -> str:
        """Make up a value: the description of a text, or its name if it has none; else the simplest of its type."""
        if self.type in _SAMPLES:
            return _SAMPLES[self.type]
        if self.values is not None:
            return self.values[0]
        return (self.description or self.name)[: self.most_characters(value_limit)]

    def json_sample(self, value_limit: int) -> object:
        """Make up a value as JSON has it, and the schema takes it; that of a picture leads nowhere."""
        if attachments.is_kind(self.type):
            return f"https://example.com/{self.name}"
        if self.type == "text":
            return self.name[: self.most_characters(value_limit)]
        return _typed(self.type, self.sample(value_limit))


_SAMPLES = {"integer": "1", "number": "1", "boolean": "true"}
_FORMS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "enum": (lambda _value: True, "one of its values"),
    "integer": (_INTEGER.fullmatch, "a whole number, such as 12"),
    "number": (_DECIMAL.fullmatch, "a decimal number, such as 1.5"),
    "boolean": (lambda value: value in ("true", "false"), "true or false"),
}


def as_typed(kind: str, text: str) -> object:
    """Read a text as JSON has a value of this type, if nothing of it gets lost; else it stays text."""
    if kind not in ("integer", "number", "boolean") or len(text) > NUMBER_LIMIT or not _FORMS[kind][0](text):
        return text
    value = _typed(kind, text)
    return value if as_text(value) == text else text


def _typed(kind: str, text: str) -> object:
    """Read a default as JSON has it: a whole number, a number, or true or false."""
    match kind:
        case "integer":
            return int(text)
        case "number":
            return float(text)
        case "boolean":
            return text == "true"
    return text
