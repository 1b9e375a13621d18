"""`instant buy`: one signature, one payment, one answer, also after crashes and lost replies."""

import asyncio
import json
import os
import stat
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.app import main
from core import db
from tests import forks, selling, shops
from tests.files import FILES, PDF, data_url
from tests.sellers import TOKEN, leading_away, losing_the_first_paid_reply, strange_seller
from tests.shops import Buyer, Shop


@dataclass(frozen=True)
class Done:
    """The result of the command."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The document that --json printed."""
        document: dict[str, Any] = json.loads(self.out)
        return document


@dataclass(frozen=True)
class Desk:
    """A buyer with a wallet and a state folder of their own."""

    folder: Path
    buyer: Buyer

    @property
    def environment(self) -> dict[str, str]:
        """The command's environment."""
        key = "0x" + bytes(self.buyer.wallet.key).hex()
        return {"INSTANT_STATE_DIR": str(self.folder), "INSTANT_WALLET_KEY": key}

    def start(self, *arguments: str) -> forks.Fork:
        """`instant buy` as a process of its own."""
        environment, output = os.environ | self.environment, self.folder / "output.log"
        return forks.start("cli", "buy", *arguments, environment=environment, output=output)

    async def buy(self, *arguments: str, **changes: str) -> Done:
        """`instant buy`, to its end, in a thread."""
        before, out, err = dict(os.environ), StringIO(), StringIO()
        os.environ |= self.environment | changes
        try:
            with redirect_stdout(out), redirect_stderr(err):
                code = await asyncio.to_thread(main, ["buy", *arguments])
        finally:
            os.environ.clear()
            os.environ |= before
        return Done(code, out.getvalue(), err.getvalue())

    def kept(self) -> list[Path]:
        """The unfinished payments."""
        return sorted(self.folder.glob("purchases/*"))


@pytest.fixture
async def desk(tmp_path: Path, practice_facilitator: str) -> Desk:
    return Desk(tmp_path, await Buyer().fund())


async def test_price_payment_answer_receipt(door: str, shop: Shop, desk: Desk, tmp_path: Path) -> None:
    """Only the answer is on standard output; price, receipt and status URL are on standard error; no file is left."""
    wallet = tmp_path / "wallet"
    wallet.write_text(bytes(desk.buyer.wallet.key).hex() + "\n")
    wallet.chmod(0o600)
    done = await desk.buy(
        door + shop.path, "-p", "topic=the sea", "--wallet-file", str(wallet), INSTANT_WALLET_KEY="none"
    )

    assert done.code == 0, done.err
    (transfer,) = await shop.received()
    assert "Haiku: 0.01 USDC on eip155:402402" in done.err
    assert f"0.01 USDC on eip155:402402, transaction {transfer['transaction']}" in done.err
    status_url = done.err.split("status: ")[1].split()[0]
    async with httpx.AsyncClient() as http:
        assert (await http.get(status_url)).json()["response"] == done.out.rstrip("\n")
    assert desk.kept() == []


async def test_practice_money_and_images(door: str, shop: Shop, desk: Desk, tmp_path: Path) -> None:
    """--fund fills a new wallet with the price, --out keeps the images, --json is one document."""
    async with db.pool() as pool:
        model = "google/gemini-2.5-flash-image"
        async with pool.connection() as conn:
            await selling.add_model(conn, id=model, output_modalities=["text", "image"])
        await shop.publish(pool, slug="postcard", modality="image", model=model)
    url = f"{door}/@{shop.account.handle}/postcard"
    done = await desk.buy(
        url, "-p", "topic=the sea", "--fund", "--json", "--out", str(tmp_path / "out"), INSTANT_WALLET_KEY=""
    )

    assert done.code == 0, done.err
    (transfer,) = await shop.received()
    assert transfer["payer"] != desk.buyer.wallet.address.lower()
    (image,) = done.document["images"]
    assert Path(image).read_bytes().startswith(b"\x89PNG")  # noqa: ASYNC240 - nobody else uses this loop
    assert done.document["receipt"]["transaction"] == transfer["transaction"]
    assert {"state": "answered", "price_usdc": "0.01", "url": url}.items() <= done.document.items()


async def test_an_offer_can_be_looked_at(door: str, shop: Shop, desk: Desk) -> None:
    """With --show there is no wallet and no payment: title, price, inputs and rules, or the seller's own document."""
    url = door + shop.path
    shown = await desk.buy(url, "--show", INSTANT_WALLET_KEY="")
    document = await desk.buy(url, "--show", "--json", INSTANT_WALLET_KEY="")
    nothing = await desk.buy(url + "-nothing", "--show")

    assert [done.code for done in (shown, document, nothing)] == [0, 0, 1]
    assert f"0.01 USDC on eip155:402402 to {shop.payout}".lower() in shown.out.lower()
    assert "-p topic=" in shown.out
    assert all(f"- {rule}" in shown.out for rule in document.document["rules"])
    assert nothing.err.endswith("There is nothing at this address. Nothing was signed.\n")
    assert desk.kept() == []


async def test_what_is_not_bought(door: str, shop: Shop, desk: Desk) -> None:
    """Above the highest price, wrong inputs, an empty wallet: exit 1, no money moved.

    Only what was signed is kept: until it expires, nobody but the seller says that it was not used.
    """
    url, topic = door + shop.path, ("-p", "topic=the sea")
    dear = await desk.buy(url, *topic, "--max-price", "0.009999", "--json")
    unfit = await desk.buy(url, "-p", "subject=the sea")
    poor = await desk.buy(url, *topic, INSTANT_WALLET_KEY="0x" + "11" * 32)
    missing = await desk.buy(url + "-nothing", *topic)

    assert [done.code for done in (dear, unfit, poor, missing)] == [1, 1, 1, 1]
    assert dear.document["state"] == "refused"
    assert "0.01 USDC, more than --max-price 0.009999" in dear.document["message"]
    assert "required parameter: topic" in unfit.err
    assert "The seller says that the payment is refused: The wallet holds less" in poor.err
    assert "the signed authorization can be used until: 20" in poor.err
    assert "answered 404: There is nothing at this address. Nothing was signed.\n" in missing.err
    assert (await desk.buyer.settles(), await shop.received()) == (0, [])
    (kept,) = desk.kept()
    assert str(kept) in poor.err

    order = json.loads(kept.read_text())
    assert order["refused"]
    kept.write_text(json.dumps(order | {"valid_before": 1}))
    await desk.buy(url, *topic, "--max-price", "0.01", INSTANT_WALLET_KEY="0x" + "11" * 32)
    assert len(desk.kept()) == 1
    assert kept not in desk.kept()


async def test_a_refused_payment_that_has_expired(desk: Desk) -> None:
    """It cannot be used any more: no file is left, and no time is named."""
    async with strange_seller() as (url, _):
        first = await desk.buy(url, "--asset", f"eip155:402402={TOKEN}", "--json")
        (kept,) = desk.kept()
        kept.write_text(json.dumps(json.loads(kept.read_text()) | {"valid_before": 1}))
        last = await desk.buy("--resume", str(kept), "--json")

    assert (first.code, first.document["state"], first.document["unfinished_payment"]) == (1, "refused", str(kept))
    assert first.document["usable_until"].endswith(" UTC")
    assert (last.code, last.document["unfinished_payment"], last.document["usable_until"]) == (1, None, None)
    assert desk.kept() == []


async def test_nothing_is_followed_elsewhere(desk: Desk, tmp_path: Path) -> None:
    """A seller's status URL, redirect or picture on another origin is not asked, and no picture is endless."""
    out = tmp_path / "out"
    async with leading_away() as (url, elsewhere, asked_elsewhere):
        done = await desk.buy(url, "--asset", f"eip155:402402={TOKEN}", "--json", "--out", str(out), "--wait", "30")

    assert done.code == 0, done.err
    *shown, saved = done.document["images"]
    assert shown == [f"{url}moved.png", f"{url}endless.png", f"{elsewhere}other.png"]
    assert Path(saved).read_bytes() == b"small"  # noqa: ASYNC240 - nobody else uses this loop
    assert [path.name for path in out.iterdir()] == [Path(saved).name]
    assert asked_elsewhere == []


async def test_only_tokens_that_are_known_or_named(desk: Desk) -> None:
    """A seller who asks for another token is refused, unless the buyer has named that token."""
    async with strange_seller() as (url, payments):
        unknown = await desk.buy(url)
        assert (unknown.code, payments) == (1, [None])
        named = await desk.buy(url, "--asset", f"eip155:402402={TOKEN}")

    assert "--asset" in unknown.err
    assert (named.code, len(payments)) == (1, 3)
    assert payments[2]


async def test_files_are_sent_with_their_content(desk: Desk, tmp_path: Path) -> None:
    """By what they are, whatever their name says; what is no picture and no PDF is refused before any request."""
    photo, paper, words = (tmp_path / name for name in ("photo.txt", "paper.pdf", "words.png"))
    photo.write_bytes(FILES["image/gif"])
    paper.write_bytes(PDF)
    words.write_text("no picture")
    async with strange_seller() as (url, payments):
        wrong = [await desk.buy(url, "--file", f"a={words}"), await desk.buy(url, "--file", "a=/no/such")]
        assert ([done.code for done in wrong], payments) == ([2, 2], [])
        named = ("--file", f"photo={photo}", "--file", f"paper={paper}", "-p", "words=two")
        await desk.buy(url, "--asset", f"eip155:402402={TOKEN}", *named)
    (kept,) = desk.kept()

    sent = {"photo": data_url("image/gif", FILES["image/gif"]), "paper": data_url("application/pdf", PDF)}
    assert json.loads(kept.read_text())["body"] == sent | {"words": "two"}


async def test_a_refusal_after_silence_is_no_proof(desk: Desk) -> None:
    """A seller may answer 402 because the nonce was used by the payment whose reply was lost: no new signature."""
    async with strange_seller(1, 2) as (url, payments):
        done = await desk.buy(url, "--asset", f"eip155:402402={TOKEN}", "--json")
    (kept,) = desk.kept()

    assert (done.code, done.document["state"]) == (3, "open")
    assert done.document["unfinished_payment"] == str(kept)
    assert payments == [None, *[payments[1]] * 3]
    assert payments[1]


async def test_a_payment_that_cannot_be_kept_is_not_sent(desk: Desk) -> None:
    """If the order cannot be stored, so that a crash could lose it, the signature is not sent."""
    async with strange_seller() as (url, payments):
        nowhere = {"INSTANT_STATE_DIR": "/nowhere", "XDG_STATE_HOME": "/dev/null"}
        done = await desk.buy(url, "--asset", f"eip155:402402={TOKEN}", **nowhere)

    assert (done.code, payments) == (2, [None])
    assert "stored" in done.err


async def test_wrong_usage(tmp_path: Path, desk: Desk) -> None:
    """Exit 2 with one sentence, before any request; a key is never printed."""
    public = tmp_path / "wallet"
    public.write_text("canary" + "22" * 29)
    public.chmod(0o644)
    nobody = "http://127.0.0.1:9/@a/b"
    attempts = [
        await desk.buy(nobody, "--wallet-file", str(public)),
        await desk.buy(nobody, INSTANT_WALLET_KEY="canary"),
        await desk.buy(nobody, INSTANT_WALLET_KEY=""),
        await desk.buy(nobody, "-p", "topic"),
        await desk.buy(nobody, "--asset", "USDC"),
        await desk.buy(nobody, "--max-price", "nan"),
        await desk.buy(nobody, "--out", str(public)),
        await desk.buy("127.0.0.1:9"),
        await desk.buy(),
        await desk.buy("--resume", str(tmp_path / "nothing")),
        await desk.buy(nobody, "--stream", "--json"),
    ]

    for done in attempts:
        assert (done.code, done.out) == (2, ""), done
        assert "Traceback" not in done.err
        assert "canary" not in done.err
    assert "chmod 600" in attempts[0].err


async def test_a_lost_reply_is_fetched_with_the_same_payment(door: str, shop: Shop, desk: Desk) -> None:
    """The first paid reply never arrives: one settlement, one execution, one answer."""
    async with losing_the_first_paid_reply(door) as proxy:
        done = await desk.buy(proxy + shop.path, "-p", "topic=the sea", "--json")

    assert done.code == 0, done.err
    assert done.document["response"]
    assert (len(await shop.received()), await desk.buyer.settles()) == (1, 1)
    async with db.pool() as pool:
        assert [row.state for row in await shops.at_rest(pool, shop)] == ["succeeded"]


@pytest.mark.parametrize("after", [0, 1100, 2500])
async def test_an_answer_is_read_while_it_is_made(door: str, shop: Shop, desk: Desk, after: int) -> None:
    """Its words come once, also where the line breaks in the middle, and for one payment."""
    await shop.openrouter(latency_seconds=0, faults=["drip:1"])
    async with losing_the_first_paid_reply(door, after=after) as proxy:
        done = await desk.buy(proxy + shop.path, "-p", "topic=the sea", "--stream")

    answer, *nothing = done.out.splitlines()
    assert (done.code, nothing) == (0, [])
    assert answer.startswith("Practice answer")
    assert answer.endswith("A real model would now write as much as max_completion_tokens allows.")
    assert answer.count("Practice") == 1
    assert "receipt: 0.01 USDC" in done.err
    assert len(await shop.sends()) == 1
    assert await desk.buyer.settles() == 1


async def test_a_slow_answer_is_polled(door: str, shop: Shop, desk: Desk) -> None:
    """202, then the status URL until the answer is there."""
    await shop.openrouter(latency_seconds=3)
    done = await desk.buy(door + shop.path, "-p", "topic=the sea", "--json", "--wait", "10")

    assert done.code == 0, done.err
    assert done.document["response"]
    assert "/executions/" in done.document["status_url"]
    assert desk.kept() == []


async def test_no_time_left_is_not_a_second_payment(door: str, shop: Shop, desk: Desk) -> None:
    """Exit 3 with the status URL; the stored payment fetches the answer later, and is then removed."""
    await shop.openrouter(latency_seconds=3)
    url, topic = door + shop.path, ("-p", "topic=the sea")
    first = await desk.buy(url, *topic, "--json", "--wait", "1.5")
    (kept,) = desk.kept()
    last = await desk.buy("--resume", str(kept), "--json", INSTANT_WALLET_KEY="")

    assert (first.code, first.document["state"]) == (3, "open")
    assert first.document["unfinished_payment"] == str(kept)
    assert (last.code, last.document["state"]) == (0, "answered")
    assert len(await shop.received()) == 1
    assert desk.kept() == []


async def test_declined_and_failed_are_exit_3(door: str, shop: Shop, desk: Desk) -> None:
    """Paid and not answered: the receipt, and, unless the fault is the buyer's, a free re-run that --resume fetches."""
    url, topic = door + shop.path, ("-p", "topic=the sea", "--json")
    await shop.openrouter(faults=["status:403;error_type=content_policy_violation"])
    declined = await desk.buy(url, *topic)
    assert (declined.code, declined.document["state"], desk.kept()) == (3, "declined", [])
    assert declined.document["receipt"]["paidUsdc"] == "0.01"

    await shop.openrouter(faults=["status:400"])
    failed = await desk.buy(url, *topic)
    (kept,) = desk.kept()
    async with httpx.AsyncClient(timeout=30) as http:
        await http.post(failed.document["rerun_url"], headers={"Prefer": "wait=20"})
    answered = await desk.buy("--resume", str(kept), "--json")

    assert (failed.code, failed.document["state"]) == (3, "failed")
    assert failed.document["receipt"]["paidUsdc"] == "0.01"
    assert (answered.code, answered.document["state"], desk.kept()) == (0, "answered", [])
    assert len(await shop.received()) == 2


async def test_kill_9_and_resume(door: str, shop: Shop, desk: Desk) -> None:
    """Killed during the settlement: the stored payment, readable only by its owner, gets the answer."""
    await desk.buyer.facilitator("slow:2")
    process = desk.start(door + shop.path, "-p", "topic=the sea")

    async def settling() -> bool:
        return await desk.buyer.settles() == 1

    await shops.eventually(settling)
    process.kill()
    process.wait()
    (kept,) = desk.kept()
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (kept, kept.parent)]
    done = await desk.buy("--resume", str(kept), "--json", INSTANT_WALLET_KEY="")

    assert modes == [0o600, 0o700]
    assert done.code == 0, done.err
    assert done.document["response"]
    assert (len(await shop.received()), await desk.buyer.settles()) == (1, 1)
    assert desk.kept() == []
