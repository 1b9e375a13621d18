"""Sealing and signing: what was sealed for one place opens there, unaltered, and nowhere else."""

import base64
from string import ascii_letters, digits
from uuid import UUID

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from core.failures import Misconfigured, Unreadable
from core.secrets.vault import Vault, new_master_key

OLD, NEW = new_master_key("old"), new_master_key("new")
VAULT = Vault(OLD)
COLUMN = "executions.sealed_inputs"

plain_texts = st.binary(max_size=200)
columns = st.text(max_size=30)


@given(plain=plain_texts, account=st.uuids(), row=st.uuids(), column=columns)
def test_what_was_sealed_opens(plain: bytes, account: UUID, row: UUID, column: str) -> None:
    """Any bytes for any place come back as they were."""
    sealed = VAULT.seal(plain, account=account, column=column, row=row)

    assert VAULT.open(sealed, account=account, column=column, row=row).reveal() == plain


@given(plain=plain_texts, here=st.tuples(st.uuids(), columns, st.uuids()), there=st.data())
def test_a_moved_value_is_unreadable(plain: bytes, here: tuple[UUID, str, UUID], there: st.DataObject) -> None:
    """A value copied to another account, column or row does not open."""
    account, column, row = here
    sealed = VAULT.seal(plain, account=account, column=column, row=row)
    other = there.draw(st.uuids().filter(lambda other: other not in (account, row)))
    elsewhere = there.draw(columns.filter(lambda other: other != column))

    for place in ((other, column, row), (account, elsewhere, row), (account, column, other)):
        with pytest.raises(Unreadable):
            VAULT.open(sealed, account=place[0], column=place[1], row=place[2])


@given(plain=plain_texts, account=st.uuids(), row=st.uuids(), data=st.data())
def test_a_flipped_bit_is_noticed(plain: bytes, account: UUID, row: UUID, data: st.DataObject) -> None:
    """One altered bit anywhere in the envelope, header included, makes it unreadable."""
    sealed = bytearray(VAULT.seal(plain, account=account, column=COLUMN, row=row))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8

    with pytest.raises(Unreadable):
        VAULT.open(bytes(sealed), account=account, column=COLUMN, row=row)


@given(account=st.uuids(), row=st.uuids(), data=st.data())
def test_a_cut_or_grown_value_is_noticed(account: UUID, row: UUID, data: st.DataObject) -> None:
    """Neither a shortened nor a lengthened envelope opens."""
    sealed = VAULT.seal(b"secret", account=account, column=COLUMN, row=row)
    cut = data.draw(st.integers(0, len(sealed) - 1))
    grown = data.draw(st.binary(min_size=1, max_size=5))

    for altered in (sealed[:cut], sealed + grown):
        with pytest.raises(Unreadable):
            VAULT.open(altered, account=account, column=COLUMN, row=row)


@given(noise=st.binary(max_size=60), account=st.uuids(), row=st.uuids())
@example(noise=b"\x01", account=UUID(int=1), row=UUID(int=2))
@example(noise=b"\x01\x03old", account=UUID(int=1), row=UUID(int=2))
@example(noise=b"\x01\x03old" + bytes(12), account=UUID(int=1), row=UUID(int=2))
def test_noise_is_unreadable(noise: bytes, account: UUID, row: UUID) -> None:
    """Whatever stands in the column instead of an envelope is Unreadable, never another exception."""
    with pytest.raises(Unreadable):
        VAULT.open(noise, account=account, column=COLUMN, row=row)


@given(plain=plain_texts, account=st.uuids(), row=st.uuids())
def test_keys_rotate(plain: bytes, account: UUID, row: UUID) -> None:
    """With a new key in front the old values still open, and new ones no longer need the old key."""
    place = {"account": account, "column": COLUMN, "row": row}
    both, only_new = Vault(f"{NEW},{OLD}"), Vault(NEW)

    assert both.open(VAULT.seal(plain, **place), **place).reveal() == plain
    assert only_new.open(both.seal(plain, **place), **place).reveal() == plain
    with pytest.raises(Unreadable):
        only_new.open(VAULT.seal(plain, **place), **place)


def test_an_id_alone_opens_nothing() -> None:
    """Another key under the same id is another key."""
    place = {"account": UUID(int=1), "column": COLUMN, "row": UUID(int=2)}

    with pytest.raises(Unreadable):
        Vault(new_master_key("old")).open(VAULT.seal(b"secret", **place), **place)


def test_sealing_twice_shows_nothing() -> None:
    """Equal values for one place look different, and the plain text is not in them."""
    place = {"account": UUID(int=1), "column": COLUMN, "row": UUID(int=2)}
    one, two = VAULT.seal(b"secret" * 5, **place), VAULT.seal(b"secret" * 5, **place)

    assert one != two
    assert b"secret" not in one + two


def altered(text: str, data: st.DataObject) -> str:
    """The same text with one character replaced, left out or added."""
    place = data.draw(st.integers(0, max(len(text) - 1, 0)))
    instead = data.draw(st.characters() | st.sampled_from("=-_+/ \n") | st.just(""))
    changed = text[:place] + instead + text[place + data.draw(st.integers(0, 1)) :]
    assume(changed != text)
    return changed


@given(message=plain_texts, purpose=st.text(max_size=20), data=st.data())
def test_signatures_hold_for_one_purpose(message: bytes, purpose: str, data: st.DataObject) -> None:
    """A signature is valid for its message and its purpose only, and one altered character ends it."""
    signature = VAULT.sign(purpose, message)

    assert VAULT.is_signed(purpose, message, signature)
    assert not VAULT.is_signed(purpose + "x", message, signature)
    assert not VAULT.is_signed(purpose, message + b"x", signature)
    assert not VAULT.is_signed(purpose, message, altered(signature, data))
    assert not VAULT.is_signed(purpose, message, "")


@given(payload=plain_texts, purpose=st.text(max_size=20), data=st.data())
def test_tokens_hold_for_one_purpose(payload: bytes, purpose: str, data: st.DataObject) -> None:
    """A token gives its payload back for its purpose only, and one altered character ends it."""
    token = VAULT.token(purpose, payload)

    assert VAULT.read_token(purpose, token) == payload
    assert VAULT.read_token(purpose + "x", token) is None
    assert VAULT.read_token(purpose, altered(token, data)) is None


@given(payload=plain_texts)
def test_a_token_has_one_spelling(payload: bytes) -> None:
    """The last character may hold bits that no byte needs: none of them can be changed."""
    token = VAULT.token("quote", payload)
    others = {token[:-1] + last for last in f"{ascii_letters}{digits}-_"} - {token}

    assert {VAULT.read_token("quote", other) for other in others} == {None}
    assert not any(VAULT.is_signed("quote", b"", VAULT.sign("quote", b"") + end) for end in ("=", "==", "A"))


@given(text=st.text(st.characters()) | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
@example(text="\ud800")
def test_anything_else_is_neither_token_nor_signature(text: str) -> None:
    """Whatever a stranger sends is refused without an error."""
    assert VAULT.read_token("quote", text) is None
    assert not VAULT.is_signed("quote", b"message", text)


def test_what_was_handed_out_stays_valid() -> None:
    """The bytes on the wire are those of every release: links in mails and signed offers outlive an upgrade."""
    vault = Vault(f"old:{base64.b64encode(bytes(32)).decode()}")
    payload = base64.urlsafe_b64decode("practice")
    token = "practiceFTNCBaEOv0UbyeVi6sbNHg"

    assert vault.token("quote", payload) == token
    assert vault.sign("quote", payload) == token.removeprefix("practice")


def test_signatures_survive_rotation() -> None:
    """What an old key signed stays valid while that key is configured, and the newest key signs."""
    both, only_new = Vault(f"{NEW},{OLD}"), Vault(NEW)
    token, signature = VAULT.token("quote", b"payload"), VAULT.sign("quote", b"message")

    assert both.read_token("quote", token) == b"payload"
    assert only_new.read_token("quote", token) is None
    assert only_new.read_token("quote", both.token("quote", b"payload")) == b"payload"
    assert both.is_signed("quote", b"message", signature)
    assert not only_new.is_signed("quote", b"message", signature)
    assert only_new.is_signed("quote", b"message", both.sign("quote", b"message"))


@pytest.mark.parametrize(
    "master_keys",
    [
        "",
        " , ",
        "no-colon",
        "id:",
        f":{base64.b64encode(bytes(32)).decode()}",
        f"id:{base64.b64encode(bytes(31)).decode()}",
        f"id:{base64.b64encode(bytes(32)).decode()}!",
        f"ïd:{base64.b64encode(bytes(32)).decode()}",
        f"{'x' * 256}:{base64.b64encode(bytes(32)).decode()}",
        pytest.param(f"{OLD},{OLD}", id="twice"),
    ],
)
def test_wrong_master_keys(master_keys: str) -> None:
    """Keys that are missing, short, misspelt or named twice stop the start, and the sentence shows no key."""
    with pytest.raises(Misconfigured, match="INSTANT_MASTER_KEYS") as caught:
        Vault(master_keys)

    assert caught.value.__cause__ is None
    assert not any(part and part in str(caught.value) for part in master_keys.split(":")[1:])


def test_a_new_master_key_is_random() -> None:
    """Two made in a row differ, and each is accepted as it is."""
    assert new_master_key("a") != new_master_key("a")
    assert Vault(f"{new_master_key('a')}, {new_master_key('b')}")
