"""The schema as the statements see it: which columns may be NULL, and which words they may hold."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
from pglast import ast, parse_sql
from pglast.enums import A_Expr_Kind

from sqltypes.facts import Columns, Fact

_COLUMNS = """
SELECT relname, attname, attnotnull, pg_get_expr(adbin, adrelid) AS generated
FROM pg_attribute
JOIN pg_class ON pg_class.oid = attrelid
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum AND attgenerated <> ''
WHERE relnamespace IN ('public'::regnamespace, 'pg_catalog'::regnamespace) AND relkind IN ('r', 'p') AND attnum > 0
    AND NOT attisdropped
ORDER BY attrelid, attnum
"""

_CHECKS = """
SELECT relname, pg_get_constraintdef(pg_constraint.oid)
FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
WHERE contype = 'c' AND connamespace = 'public'::regnamespace AND NOT relispartition
"""

# Functions written in SQL: what they give follows from their body, as that of a query does.
_FUNCTIONS = """
SELECT proname, prosrc, proargnames, proargmodes::text[], proallargtypes::regtype[]::text[],
    proargtypes::regtype[]::text[]
FROM pg_proc JOIN pg_language ON pg_language.oid = prolang
WHERE pronamespace = 'public'::regnamespace AND lanname = 'sql' AND NOT proisstrict
ORDER BY pg_proc.oid
"""

# Columns that are copied from another one, which has the CHECK.
COPIES = {
    "usage_log.fault": "executions.fault",
    "usage_rollup.kind": "executions.kind",
    "payment_transitions.from_state": "payments.state",
    "payment_transitions.to_state": "payments.state",
}


@dataclass(frozen=True, slots=True)
class Function:
    """A function written in SQL.

    Attributes:
        body: one statement.
        parameters: their names and types.
        columns: the names that RETURNS TABLE gives; the function's own name where it gives one value.
    """

    name: str
    body: str
    parameters: list[tuple[str, str]]
    columns: list[str]


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of every table, in their order.

    Attributes:
        generated: the expressions of those that are generated.
        listed: the words of each CHECK, in its order.
        functions: those written in SQL, in the order in which they were created.
        given: what each function gives, as far as it has been read.
    """

    tables: dict[str, Columns]
    generated: dict[tuple[str, str], Any]
    listed: dict[tuple[str, str], list[str]]
    functions: list[Function] = field(default_factory=list)
    given: dict[str, Columns] = field(default_factory=dict)

    def order(self, words: frozenset[str]) -> list[str]:
        """Words as a CHECK has them; those that no CHECK lists by the alphabet."""
        return next((listed for listed in self.listed.values() if words == set(listed)), sorted(words))


def read(conn: psycopg.Connection[Any]) -> Schema:
    """The schema of this database."""
    tables: dict[str, Columns] = {}
    generated: dict[tuple[str, str], Any] = {}
    listed = {(table, column): words for table, check in conn.execute(_CHECKS) for column, words in _words(check)}
    for table, column, not_null, expression in conn.execute(_COLUMNS):
        source = COPIES.get(f"{table}.{column}", f"{table}.{column}")
        source_table, _, source_column = source.partition(".")
        words = listed.get((source_table, source_column))
        tables.setdefault(table, {})[column] = Fact(not not_null, frozenset(words) if words else None)
        if expression:
            generated[table, column] = expression_of(expression)
    return Schema(tables, generated, listed, [_function(*row) for row in conn.execute(_FUNCTIONS)])


def _function(
    name: str,
    body: str,
    names: list[str] | None,
    modes: list[str] | None,
    all_types: list[str] | None,
    types: list[str],
) -> Function:
    modes, all_types = modes or ["i"] * len(types), all_types or types
    told = list(zip(names or [], modes, all_types, strict=True))
    columns = [one for one, mode, _ in told if mode == "t"]
    return Function(name, body, [(one, kind) for one, mode, kind in told if mode == "i"], columns or [name])


def expression_of(text: str) -> Any:
    """An expression as it is parsed."""
    (statement,) = parse_sql(f"SELECT {text}")
    return statement.stmt.targetList[0].val


def _words(check: str) -> Iterator[tuple[str, list[str]]]:
    """The column whose words a CHECK lists, if that is what it does."""
    expression = expression_of(check.removeprefix("CHECK "))
    if not isinstance(expression, ast.A_Expr) or expression.kind != A_Expr_Kind.AEXPR_OP_ANY:
        return
    column, listed = expression.lexpr, expression.rexpr
    if isinstance(column, ast.ColumnRef) and isinstance(listed, ast.A_ArrayExpr):
        yield column.fields[-1].sval, [one.arg.val.sval for one in listed.elements]
