"""`instant refunds pay`: what it says, what it exits with, and that it shows the key to nobody."""

import asyncio
import json
import os
import shlex
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cli.app import main
from core import db
from core.evm.signatures import Wallet
from core.settings import settings
from tests import debts, orders, proxies, shops
from tests.debts import Debt


@pytest.fixture
def ours(own_database: str, practice_facilitator: str) -> Iterator[None]:
    """An empty database beside the practice facilitator, named by the settings of this process."""
    before = dict(os.environ)
    # The commands do not open it, but without a URL the embedded server would start.
    os.environ.setdefault("INSTANT_PREFECT_DATABASE_URL", own_database)
    settings.cache_clear()
    yield
    os.environ.clear()
    os.environ |= before
    settings.cache_clear()


@pytest.fixture
async def pool(ours: None) -> AsyncIterator[db.Pool]:
    """The database."""
    async with db.pool() as opened:
        yield opened


async def instant(capsys: pytest.CaptureFixture[str], wallet: Wallet | None, *arguments: str) -> tuple[int, str, str]:
    """Run a command with a key in the environment; return its exit code and what it printed."""
    capsys.readouterr()
    if wallet:
        os.environ["INSTANT_REFUND_KEY"] = f"0x{wallet.key.reveal()}"
    code = await asyncio.to_thread(main, ["refunds", *arguments])
    os.environ.pop("INSTANT_REFUND_KEY", None)
    said = capsys.readouterr()
    assert wallet is None or wallet.key.reveal() not in said.out + said.err
    return code, said.out, said.err


async def test_a_dry_run_pays_nothing(capsys: pytest.CaptureFixture[str], pool: db.Pool) -> None:
    """It says what would be paid, what not and why, and what the wallet has; then that is paid, and nothing twice."""
    wallet = await debts.rich(25_000)
    sold = await orders.version(pool)
    owed = [await debts.owe(pool, wallet.address, sold=sold) for _ in range(3)]
    foreign = await debts.owe(pool, debts.wallet().address)
    code, text, _ = await instant(capsys, wallet, "pay", "--dry-run")
    _, document, _ = await instant(capsys, wallet, "pay", "--dry-run", "--json")
    assert [await debts.received(debt.buyer) for debt in (*owed, foreign)] == [[]] * 4
    paid = await instant(capsys, wallet, "pay", "--yes", "--json")
    again = await instant(capsys, wallet, "pay", "--yes")

    told = json.loads(document)
    assert (code, paid[0], again[0]) == (1, 1, 1), "the third cannot be paid"
    assert f"{wallet.address} has 0.025 USDC on eip155:402402." in text
    assert "To pay on eip155:402402: 0.02 USDC." in text
    assert [(row["execution_id"], row["pays"]) for row in told["refunds"]] == [
        (str(owed[0].execution_id), True),
        (str(owed[1].execution_id), True),
        (str(owed[2].execution_id), False),
        (str(foreign.execution_id), False),
    ]
    assert told["refunds"][2]["because"] == "the wallet has not enough money for it"
    assert "another wallet received the payment" in told["refunds"][3]["because"]
    payments = json.loads(paid[1])["payments"]
    assert [[one["transaction"]] for one in payments] == [await debts.received(debt.buyer) for debt in owed[:2]]
    assert [len(await debts.received(debt.buyer)) for debt in (*owed, foreign)] == [1, 1, 0, 0]


async def test_limits_and_consent(capsys: pytest.CaptureFixture[str], pool: db.Pool, tmp_path: Path) -> None:
    """Count, sum and each are kept; without --yes nothing is paid where nobody can answer; the key may be in a file."""
    wallet = await debts.rich()
    sold = await orders.version(pool)
    owed = [await debts.owe(pool, wallet.address, sold=sold) for _ in range(4)]
    file = tmp_path / "key"
    file.write_text(wallet.key.reveal())
    file.chmod(0o644)
    readable = await instant(capsys, None, "pay", "--yes", "--key-file", str(file))
    file.chmod(0o600)
    unasked = await instant(capsys, wallet, "pay")
    for arguments in (["--max-each-usdc", "0.009"], ["--max-usdc", "0.0099"]):
        assert (await instant(capsys, wallet, "pay", "--yes", *arguments))[0] == 0
    assert await paid(owed) == 0
    assert (await instant(capsys, None, "pay", "--yes", "--limit", "1", "--key-file", str(file)))[0] == 0
    assert await paid(owed) == 1
    assert (await instant(capsys, wallet, "pay", "--yes", "--max-usdc", "0.025"))[0] == 0
    assert await paid(owed) == 3
    by_operator = await debts.rich()
    assert (await instant(capsys, by_operator, "pay", "--yes"))[0] == 0
    assert await paid(owed) == 3
    assert (await instant(capsys, by_operator, "pay", "--yes", "--any-wallet"))[0] == 0

    assert await paid(owed) == 4
    assert (readable[0], "can be read by others" in readable[2]) == (2, True)
    assert (unasked[0], "--yes is needed" in unasked[2]) == (1, True)


@pytest.mark.parametrize("key", ["", "nonsense-practice-key", "0" * 64, "f" * 64])
async def test_a_key_that_is_none(capsys: pytest.CaptureFixture[str], ours: None, key: str) -> None:
    """Exit 2, and the sentence names where the key should be, and never what is there."""
    os.environ["INSTANT_REFUND_KEY"] = key
    code, out, said = await instant(capsys, None, "pay", "--yes")

    assert (code, out) == (2, "")
    assert "INSTANT_REFUND_KEY" in said
    assert not key or key not in said


async def paid(owed: list[Debt]) -> int:
    """How many of these the chain shows as paid, each at most once."""
    found = [await debts.received(debt.buyer) for debt in owed]
    assert max(map(len, found)) <= 1
    return sum(map(len, found))


async def test_the_page_of_operators(
    capsys: pytest.CaptureFixture[str], pool: db.Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/operators.md: its commands pay one debt, record one and waive one, each within its limits."""
    page = proxies.shown("docs/operators.md", "sh", "instant refunds waive")
    pay, record, waive = (shlex.split(line, comments=True)[2:] for line in page.splitlines())
    wallet = await debts.rich()
    sold = await orders.version(pool)
    paid, by_hand, in_person = [await debts.owe(pool, wallet.address, sold=sold) for _ in range(3)]
    (creator,) = await shops.rows(pool, "SELECT handle FROM accounts WHERE handle IS NOT NULL")
    monkeypatch.chdir(tmp_path)
    descriptor = os.open("paying.key", os.O_CREAT | os.O_WRONLY, 0o600)
    os.write(descriptor, wallet.key.reveal().encode())
    os.close(descriptor)
    transaction = orders.a_transaction()

    def here(words: list[str], debt: Debt, **others: str) -> list[str]:
        given = {"$ID": str(debt.execution_id), "$TRANSACTION": transaction, "ada": creator.handle, **others}
        return [given.get(word, word) for word in words]

    codes = [
        (await instant(capsys, None, *here(words, debt)))[0] for words, debt in ((record, by_hand), (waive, in_person))
    ]
    codes.append((await instant(capsys, None, *here(pay, paid), "--yes"))[0])

    assert codes == [0, 0, 0]
    assert len(await debts.received(paid.buyer)) == 1
    assert (await debts.refund(pool, by_hand)).transaction == transaction
    assert [(await debts.refund(pool, debt)).state for debt in (paid, by_hand, in_person)] == [
        "recorded",
        "recorded",
        "waived",
    ]
