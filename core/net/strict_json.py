"""Hooks for json.loads, which accepts more than RFC 8259 has. Readers differ about what that means."""


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
