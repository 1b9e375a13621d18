"""Wrap a value that must not be printed or stored."""

from typing import Generic, NoReturn, TypeVar

T = TypeVar("T")


class Private(Generic[T]):
    """Hold a secret between the step that opens it and the step that uses it.

    Printing shows `Private(***)`; pickling and JSON raise, so no framework can store it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def reveal(self) -> T:
        """Return the value, at the point where it is used."""
        return self._value

    def __repr__(self) -> str:
        return "Private(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Private value cannot be stored")
