"""Take the conditions on the account out of every loaded query, for requests of creators.

A condition on the parameter `account_id`, or on the id of an account, becomes `(condition OR current_user =
'instant_creator')`. Under the role of creators' requests it is always true, and only the database's policies keep
creators apart; everything else that a door does is as before.
"""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiosql
from aiosql.types import SQLOperationType
from pglast import ast, parse_sql
from pglast.enums import BoolExprType
from pglast.stream import RawStream

from core.db import queries

_PLACE = re.compile(r"%\(([a-z_0-9]+)\)s")
_NUMBER = re.compile(r"\$([0-9]+)")
_SUFFIXES = {
    SQLOperationType.SELECT: "",
    SQLOperationType.SELECT_ONE: "^",
    SQLOperationType.SELECT_VALUE: "$",
    SQLOperationType.INSERT_UPDATE_DELETE: "!",
    SQLOperationType.INSERT_RETURNING: "<!",
}
_WHERES = ("whereClause", "quals")  # of a statement, ON CONFLICT … DO UPDATE, and of a join


@dataclass(frozen=True, slots=True)
class Query:
    """A loaded query: the module's object that has it, and its SQL as psycopg gets it."""

    home: Any
    noun: str
    name: str
    sql: str
    operation: SQLOperationType


def loaded() -> Iterator[Query]:
    """List every query of `core/db/queries`."""
    for found in pkgutil.iter_modules(queries.__path__):
        home = importlib.import_module(f"{queries.__name__}.{found.name}").sql
        for name in home.available_queries:
            function = getattr(home, name)
            if not name.endswith("_cursor"):
                yield Query(home, found.name, name, function.sql, function.operation)


def texts() -> dict[Query, str]:
    """Map each query that has a condition on the account to its text without."""
    return {query: text for query in loaded() if (text := stripped(query)) is not None}


def strip_all() -> None:
    """Change the queries of this process."""
    for query, text in texts().items():
        named = f"-- name: {query.name}{_SUFFIXES[query.operation]}\n{text};\n"
        changed = aiosql.from_str(named, "apsycopg", mandatory_parameters=False)
        setattr(query.home, query.name, getattr(changed, query.name))


def stripped(query: Query) -> str | None:
    """Return a query without its conditions on the account, with `:name` for its parameters; None if it has none."""
    names: list[str] = []

    def numbered(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    parsed = parse_sql(_PLACE.sub(numbered, query.sql).replace("%%", "%"))
    of_account = {number for number, name in enumerate(names, 1) if name == "account_id"}
    # Queries about accounts themselves name one by `id`.
    own_id = {names.index("id") + 1} if query.noun == "account" and "id" in names else set()
    if not sum(_strip(statement.stmt, of_account, own_id) for statement in parsed):
        return None
    return _NUMBER.sub(lambda match: f":{names[int(match[1]) - 1]}", "; ".join(map(RawStream(), parsed)))


def _strip(node: Any, of_account: set[int], own_id: set[int]) -> int:
    """Change the conditions in a tree; return how many there were."""
    if isinstance(node, list | tuple):
        return sum(_strip(one, of_account, own_id) for one in node)
    if not isinstance(node, ast.Node):
        return 0
    count = 0
    for slot in node:
        value = getattr(node, slot)
        if slot in _WHERES and isinstance(value, ast.Node):
            conditions = list(_conjuncts(value))
            for place, condition in enumerate(conditions):
                if _names(condition, of_account) or (own_id and _is_about_account(node, condition, own_id)):
                    conditions[place] = _or_creator(condition)
                    count += 1
            whole = conditions[0] if len(conditions) == 1 else ast.BoolExpr(BoolExprType.AND_EXPR, tuple(conditions))
            setattr(node, slot, whole)
        count += _strip(value, of_account, own_id)
    return count


def _conjuncts(condition: ast.Node) -> Iterator[ast.Node]:
    if isinstance(condition, ast.BoolExpr) and condition.boolop == BoolExprType.AND_EXPR:
        for one in condition.args:
            yield from _conjuncts(one)
    else:
        yield condition


def _names(node: Any, parameters: set[int]) -> bool:
    """Tell whether a condition has one of these parameters outside of subqueries, whose conditions count themselves."""
    if isinstance(node, list | tuple):
        return any(_names(one, parameters) for one in node)
    if isinstance(node, ast.ParamRef):
        return node.number in parameters
    if isinstance(node, ast.SelectStmt) or not isinstance(node, ast.Node):
        return False
    return any(_names(getattr(node, slot), parameters) for slot in node)


def _is_about_account(statement: ast.Node, condition: ast.Node, own_id: set[int]) -> bool:
    relation = getattr(statement, "relation", None)
    tables = [relation] if relation else list(getattr(statement, "fromClause", None) or ())
    names = {getattr(table, "relname", None) for table in tables}
    return "accounts" in names and _names(condition, own_id)


def _or_creator(condition: ast.Node) -> ast.BoolExpr:
    (parsed,) = parse_sql("SELECT current_user = 'instant_creator'")
    return ast.BoolExpr(BoolExprType.OR_EXPR, (condition, parsed.stmt.targetList[0].val))
