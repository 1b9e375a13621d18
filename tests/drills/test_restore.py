"""A restore loses no money; and the drill sees it if one does."""

from pathlib import Path

from drills import restore
from drills.surroundings import Surroundings

PAID, FOUND = (
    {"payer": "0xa", "nonce": "0x1", "transaction": "0xt"},
    {"payer": "0xb", "nonce": "0x2", "transaction": "0xu"},
)


async def test_what_was_sold_after_a_backup_is_found(surroundings: Path, postgres: str) -> None:
    """The drill itself, with few payments."""
    told = await restore.drill(Surroundings(surroundings, postgres), 1, 3)

    assert told["wrong"] == []
    assert isinstance(told["found"], int)
    assert told["found"] >= 1
    assert told["known"] == 3


def test_the_drill_sees_what_is_lost_or_counted_twice() -> None:
    """A transfer that nobody knows, one that is paid and owed, one that never was, and a wallet that paid twice."""
    paid = [("0xa", "0x1")]

    assert restore.differences([PAID, FOUND], paid, ["0xu"]) == []
    assert restore.differences([PAID, FOUND], paid, []) != []
    assert restore.differences([PAID], paid, ["0xt"]) != []
    assert restore.differences([PAID], paid, ["0xu"]) != []
    assert restore.differences([PAID, FOUND | {"payer": "0xa"}], paid, ["0xu"]) == ["0xa was charged 2 times"]
