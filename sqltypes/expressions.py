"""What is known of an expression: whether it may be NULL, and which words it may be."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pglast import ast
from pglast.enums import A_Expr_Kind, NullTestType, SubLinkType

from sqltypes.facts import NOT_NULL, NULL, Columns, Fact, either, strict
from sqltypes.scope import Parameters, Scope

# What is NULL only if one of the arguments is. Anything else that is called here may be NULL.
_STRICT = {
    "array_to_string", "cardinality", "ceil", "date_bin", "date_trunc", "extract", "hashtext", "hashtextextended",
    "histogram", "histogram_bucket", "left", "length", "lower", "ltrim", "make_interval", "milliseconds", "power",
    "right", "round", "set_config", "split_part", "timezone", "to_char", "to_date", "upper",
}  # fmt: skip
_NEVER_NULL = {
    "clock_timestamp", "concat", "concat_ws", "count", "gen_random_uuid", "jsonb_build_array", "jsonb_build_object",
    "make_usage_month", "now", "row_number", "usage_watermark",
}  # fmt: skip
# Of a group that has rows these give something, if what they take is never NULL.
_AGGREGATES = {
    "array_agg", "avg", "bool_and", "bool_or", "histogram_sum", "jsonb_agg", "jsonb_object_agg", "max", "min", "sum",
}  # fmt: skip
_COMPARISONS = {"=", "<>", "!="}
_MAYBE_NULL_OPERATORS = {"->", "->>", "#>", "#>>"}

Query = Callable[[Any, Scope], Columns]


class Expressions:
    """Reads the expressions of one statement, and notes what they tell about its parameters.

    Args:
        parameters: what is known of each.
        query: reads a query within an expression.
        given: what our own functions give, by their names.
    """

    def __init__(self, parameters: Parameters, query: Query, given: Mapping[str, Columns]) -> None:
        self._parameters = parameters
        self._query = query
        self._given = given

    def fact(self, node: Any, scope: Scope) -> Fact:
        """What is known of an expression."""
        match node:
            case ast.ColumnRef():
                return scope.column([field.sval for field in node.fields if isinstance(field, ast.String)])
            case ast.ParamRef():
                return Fact(self._parameters[node.number].nullable, parameter=node.number)
            case ast.A_Const():
                return _constant(node)
            case ast.TypeCast():
                return self._cast(node, scope)
            case ast.FuncCall():
                return self._call(node, scope)
            case ast.CoalesceExpr():
                return self._coalesce(node, scope)
            case ast.MinMaxExpr():
                facts = self._all(node.args, scope)
                return Fact(all(fact.nullable for fact in facts))
            case ast.CaseExpr():
                return self._case(node, scope)
            case ast.A_Expr():
                return self._operator(node, scope)
            case ast.NullTest():
                asked = self.fact(node.arg, scope)
                self.may_be_null(asked)
                return NOT_NULL
            case ast.SubLink():
                return self._sublink(node, scope)
            case ast.BoolExpr():
                return strict(self._all(node.args, scope))
            case ast.BooleanTest() | ast.CollateClause():
                return self.fact(node.arg, scope).plain()
            case ast.RowExpr():
                self._all(node.args, scope)
                return NOT_NULL
            case ast.A_ArrayExpr():
                self._all(node.elements or (), scope)
                return NOT_NULL
            case ast.A_Indirection():
                self.fact(node.arg, scope)
                return Fact()
            case ast.SetToDefault() | ast.SQLValueFunction():
                return NOT_NULL
            case tuple():
                return strict(self._all(node, scope))
        raise NotImplementedError(f"{type(node).__name__} in a query; sqltypes/expressions.py has to learn it")

    def _all(self, nodes: Any, scope: Scope) -> list[Fact]:
        return [self.fact(node, scope) for node in nodes or ()]

    def _cast(self, node: ast.TypeCast, scope: Scope) -> Fact:
        fact = self.fact(node.arg, scope)
        return fact if node.typeName.names[-1].sval == "text" else replace(fact, words=None)

    def _call(self, node: ast.FuncCall, scope: Scope) -> Fact:
        name = node.funcname[-1].sval
        facts = self._all([one.arg if isinstance(one, ast.NamedArgExpr) else one for one in node.args or ()], scope)
        for sorted_by in node.agg_order or ():
            self.fact(sorted_by.node, scope)
        if node.agg_filter:
            self.fact(node.agg_filter, scope)
        if name in self._given:
            (fact,) = self._given[name].values()
            return replace(fact, nullable=fact.nullable or any(argument.nullable for argument in facts))
        if name in _NEVER_NULL:
            return NOT_NULL
        if name in _STRICT:
            return strict(facts)
        if name in _AGGREGATES and scope.grouped and not node.agg_filter:
            return strict(facts)
        return Fact()

    def _coalesce(self, node: ast.CoalesceExpr, scope: Scope) -> Fact:
        facts = self._all(node.args, scope)
        for fact in facts[:-1]:
            self.may_be_null(fact)
        return either(facts, nullable=all(fact.nullable for fact in facts))

    def _case(self, node: ast.CaseExpr, scope: Scope) -> Fact:
        self._all([branch.expr for branch in node.args], scope)
        if node.arg:
            self.fact(node.arg, scope)
        results = [self.fact(branch.result, scope) for branch in node.args]
        results.append(self.fact(node.defresult, scope) if node.defresult else NULL)
        return either(results, nullable=any(result.nullable for result in results))

    def _operator(self, node: ast.A_Expr, scope: Scope) -> Fact:
        sides = [self.fact(side, scope) for side in (node.lexpr, node.rexpr) if side is not None]
        operator = node.name[-1].sval
        is_distinct = node.kind in (A_Expr_Kind.AEXPR_DISTINCT, A_Expr_Kind.AEXPR_NOT_DISTINCT)
        if len(sides) == 2 and (operator in _COMPARISONS or is_distinct):
            for one, other in (sides, sides[::-1]):
                self._compare(one, other, is_distinct=is_distinct)
        if is_distinct:
            return NOT_NULL
        if node.kind == A_Expr_Kind.AEXPR_NULLIF:
            return Fact(True, sides[0].words)
        return Fact() if operator in _MAYBE_NULL_OPERATORS else strict(sides)

    def _compare(self, one: Fact, other: Fact, *, is_distinct: bool) -> None:
        """A parameter is compared with something: it is of its words, and NULL if NULL is meant."""
        if one.parameter is None:
            return
        known = self._parameters[one.parameter]
        # A single word does not tell which others there are.
        if other.words is not None and len(other.words) > 1:
            known.words = other.words
        if is_distinct and other.nullable:
            self.may_be_null(one)

    def may_be_null(self, fact: Fact) -> None:
        """The statement means something by a NULL here: if this is a parameter, it may be None."""
        if fact.parameter is not None:
            known = self._parameters[fact.parameter]
            if fact.is_element:
                known.has_null = True
            else:
                known.nullable = True

    def _sublink(self, node: ast.SubLink, scope: Scope) -> Fact:
        columns = self._query(node.subselect, scope)
        if node.testexpr is not None:
            self.fact(node.testexpr, scope)
        if node.subLinkType in (SubLinkType.EXISTS_SUBLINK, SubLinkType.ARRAY_SUBLINK):
            return NOT_NULL
        if node.subLinkType == SubLinkType.EXPR_SUBLINK and len(columns) == 1:
            (fact,) = columns.values()
            return fact.plain() if has_one_row(node.subselect) else Fact(True, fact.words)
        return Fact()


def _constant(node: ast.A_Const) -> Fact:
    if node.isnull:
        return NULL
    return Fact(False, frozenset([node.val.sval])) if isinstance(node.val, ast.String) else NOT_NULL


def has_one_row(node: Any) -> bool:
    """Whether a statement gives one row whatever there is: it only adds up, or takes from nowhere."""
    match node:
        case ast.InsertStmt():
            return bool(node.selectStmt and node.selectStmt.valuesLists and not node.onConflictClause)
        case ast.SelectStmt():
            if node.groupClause or node.havingClause or node.limitCount or node.limitOffset or not node.targetList:
                return False
            is_from_nowhere = not (node.fromClause or node.whereClause)
            return is_from_nowhere or all(_adds_up(target.val) for target in node.targetList)
    return False


def _adds_up(node: Any) -> bool:
    """Whether an expression is an aggregate of all rows, or made of one."""
    match node:
        case ast.FuncCall():
            name = node.funcname[-1].sval
            return node.over is None and (name in _AGGREGATES or name == "count" or any(map(_adds_up, node.args or ())))
        case ast.CoalesceExpr() | ast.MinMaxExpr():
            return any(map(_adds_up, node.args))
        case ast.TypeCast():
            return _adds_up(node.arg)
        case ast.SubLink() | ast.A_Const():
            return False
        case ast.A_Expr():
            return any(_adds_up(side) for side in (node.lexpr, node.rexpr) if side is not None)
    return False


def asserted(where: Any) -> list[list[str]]:
    """The columns of which a WHERE says that they are not NULL, by name."""
    match where:
        case ast.BoolExpr() if where.boolop == 0:
            return [name for part in where.args for name in asserted(part)]
        case ast.NullTest() if where.nulltesttype == NullTestType.IS_NOT_NULL and isinstance(where.arg, ast.ColumnRef):
            return [[field.sval for field in where.arg.fields]]
    return []
