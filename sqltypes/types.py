"""What Postgres and the statement know of a value, as a Python type."""

from collections.abc import Mapping

from sqltypes.facts import Fact, Parameter

_TYPES = {
    "bool": "bool",
    "bytea": "bytes",
    "date": "date",
    "float8": "float",
    "int2": "int",
    "int4": "int",
    "int8": "int",
    "interval": "timedelta",
    "json": "object",
    "jsonb": "object",
    "name": "str",
    "numeric": "Decimal",
    "text": "str",
    "timestamptz": "datetime",
    "uuid": "UUID",
    "void": "str",
}

Names = Mapping[frozenset[str], str]


def of_column(kind: str, fact: Fact, names: Names) -> str:
    """The type of a column of a result."""
    element = _of_words(fact.words, names) or _TYPES[kind.removesuffix("[]")]
    return _optional(f"list[{element}]" if kind.endswith("[]") else element, nullable=fact.nullable)


def of_parameter(kind: str, known: Parameter, names: Names) -> str:
    """The type of a parameter; documents are given as text."""
    if kind in ("json", "jsonb"):
        return _optional("str", nullable=known.nullable)
    element = _of_words(known.words, names) or _TYPES[kind.removesuffix("[]")]
    if kind == "numeric":
        element = "Decimal | int"
    if kind.endswith("[]"):
        element = f"list[{_optional(element, nullable=known.has_null)}]"
    return _optional(element, nullable=known.nullable)


def _of_words(words: frozenset[str] | None, names: Names) -> str | None:
    if not words:
        return None
    return names.get(words) or f"Literal[{', '.join(f'{word!r}' for word in sorted(words))}]"


def _optional(kind: str, *, nullable: bool) -> str:
    return f"{kind} | None" if nullable else kind
