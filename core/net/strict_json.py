"""Bounds and hooks for json.loads, which accepts more than RFC 8259 has. Readers differ about what that means."""

# Each value takes about a hundred bytes and a microsecond. The longest answers of models have a tenth of this.
_MOST_VALUES = 1_000_000


def is_bulky(text: bytes | bytearray) -> bool:
    """Whether a JSON text may have a million values or more, by its commas and brackets, wherever they stand."""
    return sum(map(text.count, (b",", b"[", b"{"))) >= _MOST_VALUES


def refuse_constant(name: str) -> float:
    """Refuse NaN, Infinity and -Infinity, as `parse_constant`.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{name} is not JSON")


def unique_members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Build an object, as `object_pairs_hook`; parsers differ about which of two members of one name counts.

    Raises:
        ValueError: a name stands twice.
    """
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has a name twice")
    return members
