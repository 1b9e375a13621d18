"""What proves the sender of a replay is kept from the facilitator."""

from core import db
from core.net.json_client import Client
from core.payments import matching, offers, quotes
from core.payments.facilitator import Facilitator
from core.settings import SANDBOX_NETWORK
from tests import orders, practice, selling


async def test_the_quote_does_not_reach_the_facilitator(own_database: str, http: Client) -> None:
    """A facilitator that could rebuild the whole header could fetch the buyer's answer."""
    heard: list[bytes] = []

    def say(body: bytes) -> bytes:
        heard.append(body)
        return practice.reply(200, b"{}")

    async with db.pool() as pool, practice.scripted(say) as url:
        sold = await orders.version(pool)
        payouts = {SANDBOX_NETWORK: selling.ADDRESS}
        quote = quotes.make_quote(sold, payouts.items())
        (offered,) = offers.payment_required(sold, payouts, "", quote).accepts
        matched = matching.match(practice.payment(practice.wallet(), offered), sold, payouts)
        await Facilitator(practice.network(url), http).settle(matched.payload, matched.requirements)

    assert matched.quoted
    (body,) = heard
    assert b"authorization" in body
    assert quote.encode() not in body
    assert b"quoteId" not in body
