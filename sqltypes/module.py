"""The Python module that describes a noun's queries."""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from aiosql.types import SQLOperationType

from sqltypes import types
from sqltypes.facts import Fact, Parameter
from sqltypes.queries import Description, Query
from sqltypes.statements import Reading

_HEADER = '''"""The queries of `{noun}.sql` as mypy sees them. Written by `make queries`; do not edit.

At run time `sql` is what aiosql makes of that file, and rows are named tuples of psycopg's: the classes describe them.
"""
'''

_IMPORTS = {
    "AsyncIterator": "collections.abc",
    "Decimal": "decimal",
    "Literal": "typing",
    "Mapping": "collections.abc",
    "NamedTuple": "typing",
    "UUID": "uuid",
    "date": "datetime",
    "datetime": "datetime",
    "timedelta": "datetime",
}


@dataclass(frozen=True, slots=True)
class Typed:
    """A query with all that is known of it."""

    query: Query
    description: Description
    reading: Reading


def write(noun: str, typed: Iterable[Typed], names: types.Names) -> str:
    """The text of `core/db/queries/{noun}.py`, to be formatted.

    Raises:
        ValueError: if a comment tells about something that its query does not have, or queries that name one row class
            have different columns.
    """
    rows: dict[str, dict[str, list[str]]] = {}
    methods = []
    for one in typed:
        _check(one)
        result = _result(one, names, rows)
        methods.append(_method(one, names, result))
    classes = [_row(name, columns) for name, columns in rows.items()]
    body = "\n\n\n".join([*classes, "\n\n".join([_protocol(noun), *methods]), f'sql: Queries = load("{noun}")\n'])
    return f"{_HEADER.format(noun=noun)}\n{_imports(body, names)}\n\n{body}"


def _check(one: Typed) -> None:
    known = {*(name for name, _ in one.description.columns), *(f":{name}" for name in one.query.parameters)}
    known |= {f":{name}[]" for name in one.query.parameters}
    known |= {"value"} if one.query.operation == SQLOperationType.SELECT_VALUE else set()
    if unknown := {*one.query.told.types, *one.query.told.nullable} - known:
        raise ValueError(f"{one.query.name}: its comment tells the types of {', '.join(sorted(unknown))}")
    if len(one.reading.columns) != len(one.description.columns):
        raise ValueError(f"{one.query.name}: read {len(one.reading.columns)} columns of {one.description.columns}")


def _result(one: Typed, names: types.Names, rows: dict[str, dict[str, list[str]]]) -> str:
    """The type of what a query gives, whose row class is added to `rows`."""
    operation, told = one.query.operation, one.query.told
    if operation == SQLOperationType.INSERT_UPDATE_DELETE:
        return "int"
    has_row = one.reading.has_row or told.always
    if operation == SQLOperationType.SELECT_VALUE:
        ((_, kind),), (fact,) = one.description.columns, one.reading.columns
        return _column(one, "value", kind, replace(fact, nullable=fact.nullable or not has_row), names)
    name = told.row or f"{''.join(part.title() for part in one.query.name.split('_'))}Row"
    columns = {
        column: _column(one, column, kind, fact, names)
        for (column, kind), fact in zip(one.description.columns, one.reading.columns, strict=True)
    }
    shared = rows.setdefault(name, {column: [] for column in columns})
    if [*shared] != [*columns]:
        raise ValueError(f"{one.query.name}: {name} has other columns")
    for column, kind in columns.items():
        shared[column].append(kind)
    if operation == SQLOperationType.SELECT_ONE:
        return name if has_row else f"{name} | None"
    return f"AsyncIterator[{name}]"


def _column(one: Typed, name: str, kind: str, fact: Fact, names: types.Names) -> str:
    told = one.query.told
    nullable = told.nullable.get(name, fact.nullable)
    if name in told.types:
        return f"{told.types[name]} | None" if name in told.nullable and nullable else told.types[name]
    return types.of_column(kind, replace(fact, nullable=nullable), names)


def _method(one: Typed, names: types.Names, result: str) -> str:
    is_async = "" if result.startswith("AsyncIterator") else "async "
    parameters = [
        f"{name}: {_parameter(one, name, kind, known, names)}"
        for name, kind, known in zip(
            one.query.parameters, one.description.parameters, one.reading.parameters, strict=True
        )
    ]
    keywords = f", *, {', '.join(parameters)}" if parameters else ""
    why = textwrap.fill(" ".join(one.query.why.split()), 106, subsequent_indent="        ")
    ending = "\n        " if len(why.splitlines()) > 1 else ""
    head = f"    {is_async}def {one.query.name}(self, conn: Connection{keywords}) -> {result}:"
    return f'{head}\n        """{why}{ending}"""'


def _parameter(one: Typed, name: str, kind: str, known: Parameter, names: types.Names) -> str:
    told = one.query.told
    known = replace(
        known,
        nullable=told.nullable.get(f":{name}", known.nullable),
        has_null=told.nullable.get(f":{name}[]", known.has_null),
    )
    return told.types.get(f":{name}") or types.of_parameter(kind, known, names)


def _row(name: str, columns: dict[str, list[str]]) -> str:
    lines = [f"    {column}: {_union(kinds)}" for column, kinds in columns.items()]
    return "\n".join([f"class {name}(NamedTuple):", *lines])


def _union(kinds: Sequence[str]) -> str:
    """The type of a column that several queries give."""
    members = {member: None for kind in kinds for member in kind.split(" | ")}
    words = [member for member in members if member.startswith("Literal[")]
    if len(words) > 1:
        every = sorted({word for member in words for word in re.findall(r"'\w+'", member)})
        members = {f"Literal[{', '.join(every)}]": None} | {one: None for one in members if one not in words}
    return " | ".join(sorted(members, key=lambda member: member == "None"))


def _protocol(noun: str) -> str:
    return f'class Queries(Protocol):\n    """What `{noun}.sql` offers."""'


def _imports(body: str, names: types.Names) -> str:
    used = set(re.findall(r"\w+", re.sub(r'"""(?s:.*?)"""', "", body)))
    sources = dict.fromkeys(names.values(), "core.db.states") | _IMPORTS
    wanted = {("typing", "Protocol"), ("core.db.pool", "Connection"), ("core.db.sql", "load")}
    wanted |= {(source, name) for name, source in sources.items() if name in used}
    foreign = {one for one in wanted if not one[0].startswith("core.")}
    return "\n\n".join("\n".join(_import_lines(block)) for block in (foreign, wanted - foreign))


def _import_lines(wanted: set[tuple[str, str]]) -> Iterator[str]:
    for module in sorted({module for module, _ in wanted}):
        # As ruff sorts them: constants, then classes, then what is written small.
        found = [name for source, name in wanted if source == module]
        found.sort(key=lambda name: (not name.isupper(), name[0].islower(), name))
        yield f"from {module} import {', '.join(found)}"
