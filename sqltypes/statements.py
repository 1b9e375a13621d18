"""What is known of the columns that a statement gives, and of its parameters."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pglast import ast, parse_sql
from pglast.enums import JoinType, SetOperation

from sqltypes.expressions import Expressions, asserted, has_one_row
from sqltypes.facts import NOT_NULL, Columns, Fact, Parameter, either
from sqltypes.schema import Schema
from sqltypes.scope import Parameters, Relation, Scope


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of a statement.

    Attributes:
        has_row: whether it always gives one row, whatever there is.
    """

    columns: list[Fact]
    parameters: list[Parameter]
    has_row: bool


def read(schema: Schema, text: str, parameters: int) -> Reading:
    """Read a statement.

    Args:
        schema: of the database.
        text: the statement, with `$n` for its parameters.
        parameters: how many it has.
    """
    (parsed,) = parse_sql(text)
    known: Parameters = {number: Parameter() for number in range(1, parameters + 1)}
    reader = _Statements(schema, known)
    # Twice, because what a statement tells about a parameter in one place counts in all others.
    for _ in range(2):
        columns = reader.query(parsed.stmt, Scope())
    return Reading(list(columns.values()), list(known.values()), has_one_row(parsed.stmt))


def read_generated(schema: Schema) -> None:
    """Learn about generated columns from their expressions, which see the columns of their own row."""
    for (table, column), expression in schema.generated.items():
        columns = schema.tables[table]
        read_by = _Statements(schema, {}).expressions
        columns[column] = read_by.fact(expression, Scope([Relation(table, columns)])).plain()


def read_functions(schema: Schema) -> None:
    """Learn what the functions written in SQL give, each from its body; a row that is passed may be of NULLs.

    A function that gives one value gives NULL where its body has no row.
    """
    for function in schema.functions:
        rows = [
            Relation(name, schema.tables[kind]).outer() for name, kind in function.parameters if kind in schema.tables
        ]
        values = {name: NOT_NULL for name, kind in function.parameters if kind not in schema.tables}
        (parsed,) = parse_sql(function.body)
        columns = _Statements(schema, {}).query(parsed.stmt, Scope([*rows, Relation(None, values)]))
        if function.columns == [function.name] and not has_one_row(parsed.stmt):
            columns = {name: replace(fact, nullable=True) for name, fact in columns.items()}
        schema.given[function.name] = dict(zip(function.columns, columns.values(), strict=True))


class _Statements:
    """Reads one statement and those within it."""

    def __init__(self, schema: Schema, parameters: Parameters) -> None:
        self._tables = schema.tables
        self._given = schema.given
        self._parameters = parameters
        self.expressions = Expressions(parameters, self.query, schema.given)
        self._fact = self.expressions.fact

    def query(self, node: Any, around: Scope) -> Columns:
        """The columns of a statement; two of one name get a number, as only the outermost may have."""
        scope = around.inside()
        if getattr(node, "withClause", None):
            for cte in node.withClause.ctes:
                columns = self.query(cte.ctequery, scope)
                scope.ctes[cte.ctename] = _renamed(columns, [name.sval for name in cte.aliascolnames or ()])
        match node:
            case ast.SelectStmt():
                return self._select(node, scope)
            case ast.InsertStmt():
                return self._insert(node, scope)
            case ast.UpdateStmt() | ast.DeleteStmt():
                return self._change(node, scope)
            case ast.LockStmt():
                return {}
        raise NotImplementedError(f"{type(node).__name__}; sqltypes/statements.py has to learn it")

    def _select(self, node: ast.SelectStmt, scope: Scope) -> Columns:
        if node.op != SetOperation.SETOP_NONE:
            sides = [self.query(side, scope) for side in (node.larg, node.rarg)]
            pairs = zip(*(side.values() for side in sides), strict=True)
            merged = [either(pair, nullable=any(fact.nullable for fact in pair)) for pair in pairs]
            return dict(zip(sides[0], merged, strict=True))
        if node.valuesLists:
            rows = [[self._fact(value, scope) for value in row] for row in node.valuesLists]
            return {f"column{number}": fact for number, fact in enumerate(rows[0], 1)}
        for item in node.fromClause or ():
            scope.relations += self._from(item, scope)
        self._where(node.whereClause, scope)
        scope.grouped = bool(node.groupClause)
        for part in (node.havingClause, node.limitCount, node.limitOffset):
            if part is not None:
                self._fact(part, scope)
        columns = self._targets(node.targetList, scope)
        for sort in node.sortClause or ():
            # What is sorted by may be a name of the result.
            self._fact(sort.node, Scope([*scope.relations, Relation(None, columns)], scope.ctes, scope.around))
        return columns

    def _where(self, where: Any, scope: Scope) -> None:
        if where is not None:
            self._fact(where, scope)
            for name in asserted(where):
                scope.assert_not_null(name)

    def _targets(self, targets: Iterable[ast.ResTarget] | None, scope: Scope) -> Columns:
        columns: Columns = {}
        for target in targets or ():
            value = target.val
            if isinstance(value, ast.ColumnRef) and isinstance(value.fields[-1], ast.A_Star):
                told = scope.star(value.fields[0].sval if len(value.fields) > 1 else None)
            else:
                told = {target.name or _name_of(value): self._fact(value, scope)}
            for name, fact in told.items():
                columns[name if name not in columns else f"{name}.{len(columns)}"] = fact
        return columns

    def _insert(self, node: ast.InsertStmt, scope: Scope) -> Columns:
        table = self._tables[node.relation.relname]
        names = [column.name for column in node.cols] if node.cols else list(table)
        if node.selectStmt:
            for name, fact in zip(names, self.query(node.selectStmt, scope).values(), strict=True):
                self._store(fact, table[name])
        alias = node.relation.alias.aliasname if node.relation.alias else node.relation.relname
        scope.relations = [Relation(alias, table), Relation("excluded", table)]
        if node.onConflictClause:
            self._assign(node.onConflictClause.targetList, table, scope)
            self._where(node.onConflictClause.whereClause, scope)
        scope.relations = [Relation(alias, table)]
        return self._targets(node.returningClause.exprs if node.returningClause else (), scope)

    def _change(self, node: ast.UpdateStmt | ast.DeleteStmt, scope: Scope) -> Columns:
        table = self._tables[node.relation.relname]
        alias = node.relation.alias.aliasname if node.relation.alias else node.relation.relname
        scope.relations = [Relation(alias, table)]
        is_update = isinstance(node, ast.UpdateStmt)
        for item in (node.fromClause if is_update else node.usingClause) or ():
            scope.relations += self._from(item, scope)
        if is_update:
            self._assign(node.targetList, table, scope)
        # What the WHERE says of a row may not be so any more when it is returned.
        if node.whereClause:
            self._fact(node.whereClause, scope)
        return self._targets(node.returningClause.exprs if node.returningClause else (), scope)

    def _assign(self, targets: Sequence[ast.ResTarget] | None, table: Columns, scope: Scope) -> None:
        for target in targets or ():
            self._store(self._fact(target.val, scope), table[target.name])

    def _store(self, fact: Fact, column: Fact) -> None:
        """A value is written into a column: if it is a parameter, it may be what the column may be."""
        if fact.parameter is not None:
            if column.nullable:
                self.expressions.may_be_null(fact)
            known = self._parameters[fact.parameter]
            known.words = known.words or column.words

    def _from(self, item: Any, scope: Scope) -> list[Relation]:
        match item:
            case ast.RangeVar():
                columns = scope.ctes.get(item.relname) or self._tables[item.relname]
                return [_aliased(item, columns, item.relname)]
            case ast.RangeSubselect():
                return [_aliased(item, self.query(item.subquery, scope))]
            case ast.RangeFunction():
                return [self._function(item, scope)]
            case ast.JoinExpr():
                return self._join(item, scope)
        raise NotImplementedError(f"{type(item).__name__}; sqltypes/statements.py has to learn it")

    def _function(self, item: ast.RangeFunction, scope: Scope) -> Relation:
        call = item.functions[0][0]
        name = call.funcname[-1].sval
        facts = [self._fact(argument, scope) for argument in call.args or ()]
        if given := self._given.get(name):
            return _aliased(item, given, name)
        if item.coldeflist:
            return Relation(item.alias.aliasname, {column.colname: Fact() for column in item.coldeflist})
        if name == "unnest":
            # Elements of arrays that are parameters; Postgres fills the shorter ones up, and ours are of one length.
            columns = [self._element(fact) for fact in facts]
        else:
            columns = [NOT_NULL if name == "generate_series" else Fact()]
        if item.ordinality:
            columns.append(NOT_NULL)
        own = item.alias.aliasname if item.alias else name
        return _aliased(item, dict(zip([own, *map(str, range(1, len(columns)))], columns, strict=True)), name)

    def _element(self, fact: Fact) -> Fact:
        if fact.parameter is None:
            return Fact()
        return Fact(self._parameters[fact.parameter].has_null, parameter=fact.parameter, is_element=True)

    def _join(self, item: ast.JoinExpr, scope: Scope) -> list[Relation]:
        left = self._from(item.larg, scope)
        seen = Scope([*scope.relations, *left], scope.ctes, scope.around)
        right = self._from(item.rarg, seen)
        before, kept_right = left, right
        if item.jointype in (JoinType.JOIN_RIGHT, JoinType.JOIN_FULL):
            left = [relation.outer() for relation in left]
        if item.jointype in (JoinType.JOIN_LEFT, JoinType.JOIN_FULL):
            right = [relation.outer() for relation in right]
        both = Scope([*before, *kept_right], scope.ctes, scope)
        if item.quals:
            self._fact(item.quals, both)
        merged = {}
        for name in [column.sval for column in item.usingClause or ()]:
            merged[name] = _merge(item.jointype, [Scope(side).column([name]) for side in (before, kept_right)])
        return [*([Relation(None, merged)] if merged else []), *left, *right]


def _merge(jointype: JoinType, sides: Sequence[Fact]) -> Fact:
    """A column that a USING made of two; what is equal is not NULL, and of a full join one side is there."""
    left, right = sides
    is_null = {JoinType.JOIN_LEFT: left.nullable, JoinType.JOIN_FULL: left.nullable or right.nullable}
    return Fact(is_null.get(jointype, False), left.words)


def _aliased(item: Any, columns: Columns, name: str | None = None) -> Relation:
    if item.alias is None:
        return Relation(name, columns)
    return Relation(item.alias.aliasname, _renamed(columns, [column.sval for column in item.alias.colnames or ()]))


def _renamed(columns: Columns, names: Sequence[str]) -> Columns:
    return dict(zip([*names, *list(columns)[len(names) :]], columns.values(), strict=True))


def _name_of(node: Any) -> str:
    """The name that Postgres gives a column; only names that a statement can use itself matter."""
    match node:
        case ast.ColumnRef():
            return str(node.fields[-1].sval)
        case ast.FuncCall():
            return str(node.funcname[-1].sval)
        case ast.CoalesceExpr():
            return "coalesce"
        case ast.TypeCast():
            return _name_of(node.arg)
    return "?column?"
