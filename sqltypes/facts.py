"""What is known of one value in a statement."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Fact:
    """One column or expression.

    Attributes:
        nullable: whether it may be NULL.
        words: all texts that it can be, where they are known.
        parameter: the parameter that it is, unchanged.
        is_element: it is an element of that parameter.
    """

    nullable: bool = True
    words: frozenset[str] | None = None
    parameter: int | None = None
    is_element: bool = False

    def plain(self) -> "Fact":
        """The same value, of which nobody knows where it comes from."""
        return replace(self, parameter=None, is_element=False)


NOT_NULL = Fact(nullable=False)
NULL = Fact(words=frozenset())
Columns = dict[str, Fact]


def either(facts: Sequence[Fact], *, nullable: bool) -> Fact:
    """One of these, as a CASE or a coalesce() gives."""
    words = [fact.words for fact in facts]
    known = frozenset().union(*(word for word in words if word is not None)) if None not in words else None
    return Fact(nullable, known)


def strict(facts: Iterable[Fact]) -> Fact:
    """What most operators and functions make of these: NULL if and only if one of them is."""
    return Fact(any(fact.nullable for fact in facts))


@dataclass(slots=True)
class Parameter:
    """What is known of a parameter.

    Attributes:
        nullable: whether it may be None.
        has_null: whether elements of it may be.
        words: what it, or an element of it, can be, if that is known.
    """

    nullable: bool = False
    has_null: bool = False
    words: frozenset[str] | None = None
