"""Which columns an expression can name, and what is known of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqltypes.facts import NOT_NULL, Columns, Fact, Parameter

Parameters = dict[int, Parameter]

# Every table has them beside its own.
_SYSTEM_COLUMNS = ("ctid", "xmin")


class UnknownColumnError(LookupError):
    """A statement names a column that is not found; Postgres has accepted it, so the reading is wrong."""


@dataclass(slots=True)
class Relation:
    """A table, or what stands for one, under the name that it has in a statement.

    Attributes:
        name: its alias; None for columns that a USING merged.
        columns: in their order.
    """

    name: str | None
    columns: Columns

    def outer(self) -> "Relation":
        """The same on the side of a join that may have no row."""
        return Relation(self.name, {name: Fact(True, fact.words) for name, fact in self.columns.items()})


@dataclass(slots=True)
class Scope:
    """The relations that can be named, and those around the query.

    Attributes:
        relations: merged columns come first, because an unqualified name means them.
        ctes: what WITH has named, here and around.
        grouped: whether aggregates are of groups, which have rows.
    """

    relations: list[Relation] = field(default_factory=list)
    ctes: dict[str, Columns] = field(default_factory=dict)
    around: "Scope | None" = None
    grouped: bool = False

    def inside(self) -> "Scope":
        """An empty scope within this one."""
        return Scope(ctes=dict(self.ctes), around=self)

    def column(self, names: Sequence[str]) -> Fact:
        """A column by its name, or by that of its relation and its own; or a whole row by its relation's.

        Raises:
            UnknownColumnError: if there is none.
        """
        *qualifier, name = names
        for relation in self.relations:
            if name in relation.columns and (not qualifier or qualifier[-1] == relation.name):
                return relation.columns[name]
        if not qualifier and any(relation.name == name for relation in self.relations):
            return NOT_NULL
        if qualifier and name in _SYSTEM_COLUMNS and any(relation.name == qualifier[-1] for relation in self.relations):
            return Fact()  # the relation may be the side of a join that has no row
        if self.around is None:
            raise UnknownColumnError(".".join(names))
        return self.around.column(names)

    def assert_not_null(self, names: Sequence[str]) -> None:
        """A WHERE says that a column is not NULL."""
        *qualifier, name = names
        for relation in self.relations:
            if name in relation.columns and (not qualifier or qualifier[-1] == relation.name):
                fact = relation.columns[name]
                relation.columns = relation.columns | {name: replace(fact, nullable=False)}
                return

    def star(self, qualifier: str | None) -> Columns:
        """All columns, or those of one relation."""
        columns: Columns = {}
        for relation in self.relations:
            if qualifier in (None, relation.name):
                columns |= {name: fact for name, fact in relation.columns.items() if name not in columns}
        return columns
