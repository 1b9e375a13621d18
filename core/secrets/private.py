"""A box for what must not be printed or stored."""

from typing import Generic, NoReturn, TypeVar

T = TypeVar("T")


class Private(Generic[T]):
    """Holds a secret between the step that opens it and the step that uses it.

    Printing shows `Private(***)`; pickling and JSON raise, so a framework that wants to keep it cannot.
    """

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def reveal(self) -> T:
        """The value itself, at the point where it is used."""
        return self._value

    def __repr__(self) -> str:
        return "Private(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Private value cannot be stored")
