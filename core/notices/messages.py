"""Write the texts of notices: what was found, and what to do. They hold counts, codes and sums, but no secrets."""

from collections.abc import Callable
from datetime import UTC, datetime

from core.amounts import usdc
from core.db.states import NoticeRule
from core.executions import advice
from core.notices import spending
from core.notices.sender import Message
from core.notices.wording import Facts, money, often, provider_of, share
from core.payments import refunds
from core.resources import departures

TEST_MESSAGE = Message("x402 Instant: a trial", "Notices about your prompts arrive here.")


def message_for(rule: NoticeRule, handle: str | None, slug: str | None, facts: Facts, *, to_operator: bool) -> Message:
    """Write a notice as a message to its creator, or as the operator's copy.

    Args:
        rule: the rule that found it.
        handle: the creator's handle; None if it is about the installation.
        slug: the resource's slug, if it is about one.
        facts: the rule's facts.
        to_operator: whether it is the operator's copy, which names the creator.
    """
    title, body = _WRITERS[rule](facts)
    if handle is None:
        return Message(f"x402 Instant: {title}", body)
    about = f"/@{handle}/{slug}" if slug else f"@{handle}"
    return Message(f"{about}: {title}", f"To @{handle}:\n{body}" if to_operator else body)


def _success_low(facts: Facts) -> tuple[str, str]:
    calls, succeeded = facts["calls"], facts["succeeded"]
    body = f"{succeeded} of {calls} paid calls of the last {facts['days']} days succeeded ({share(succeeded, calls)})."
    return f"{share(succeeded, calls)} of its calls succeed", body + often(facts)


def _failures_charged(facts: Facts) -> tuple[str, str]:
    charged, failed = facts["charged"], facts["failed"]
    body = (
        f"{charged} of the {failed} calls that failed in the last {facts['days']} days were charged by the provider "
        f"all the same, or may have been: {money(facts['spent_usd'])} at most."
    )
    return f"{share(charged, failed)} of its failures cost you money", body + often(facts)


def _cost_unusual(facts: Facts) -> tuple[str, str]:
    body = (
        f"Yesterday (UTC) a call cost {money(facts['cost_usd'])} on average, over {facts['calls']} calls. On the "
        f"{facts['days']} days before it was {money(facts['usual_usd'])} usually, and {money(facts['most_usd'])} at "
        "most."
        "\nIf the model's price rose, raise the price of the prompt, lower max_output_tokens, or choose another model."
    )
    return "its calls cost far more than usual", body


def _calls_unusual(facts: Facts) -> tuple[str, str]:
    more = facts["calls"] > facts["usual"]
    body = (
        f"Yesterday (UTC) your key carried {facts['calls']} calls. On the {facts['days']} days before it were "
        f"{facts['usual']} usually, {facts['least']} at least and {facts['most']} at most."
    )
    advice_line = (
        "\nIf you did not expect that, look who buys, and at your daily spend cap."
        if more
        else "\nLook whether your prompts can be bought: instant resources list, or GET /me/resources."
    )
    return f"far {'more' if more else 'fewer'} calls than usual", body + advice_line


def _key_failing(facts: Facts) -> tuple[str, str]:
    title = provider_of(facts).title
    if facts["rejected_at"]:
        return f"{title} rejects your key", str(advice.advice_for("provider_401", "creator"))
    body = f"{title} refused {facts['calls']} calls on your key in the last 24 hours."
    return f"{title} refuses calls on your key", body + often(facts)


def _key_low(facts: Facts) -> tuple[str, str]:
    provider = provider_of(facts)
    if facts["calls"]:
        body = f"{provider.title} refused {facts['calls']} calls in the last 24 hours for want of credit."
        return f"your {provider.title} credit is used up", body + often(facts)
    body = (
        f"{money(facts['remaining_usd'])} are left under your key's own limit, and a call of your dearest prompt may "
        f"cost {money(facts['dearest_usd'])}. Raise the limit {provider.keys_place}.{provider.credit_page}"
    )
    return f"your {provider.title} key is near its limit", body


def _key_old(facts: Facts) -> tuple[str, str]:
    provider = provider_of(facts)
    body = (
        f"The key {facts['label']} at {provider.title} was set {facts['days']} days ago. Make a new one "
        f"{provider.keys_place}, set it (PUT /me/keys/{provider.name}, or instant keys set), and then delete the old "
        f"one there.{provider.credit_page}"
    )
    return f"your {provider.title} key is {facts['days']} days old", body


def _refunds_repeated(facts: Facts) -> tuple[str, str]:
    body = (
        f"In the last {facts['days']} days the wallet {facts['payer']} was owed its money back for {facts['refunds']} "
        f"calls, {usdc(facts['amount_atomic'])} USDC in all."
    )
    if facts["wallets"] > 1:
        body += f" {facts['wallets'] - 1} more wallets had as many refunds as deserve a notice."
    body += often(facts) + (
        "\nIf its inputs ask for more than fits, say in the template how long and in which form the model answers, "
        "allow no user message, or let cut-off answers count (truncated_from_characters)."
    )
    return f"one wallet had {facts['refunds']} refunds", body


def _refunds_unpaid(facts: Facts) -> tuple[str, str]:
    owed = f"{facts['refunds']} {'refund is' if facts['refunds'] == 1 else 'refunds are'} due, "
    owed += f"{usdc(facts['amount_atomic'])} USDC in all"
    if facts["cause"] == "overdue":
        body = (
            f"{owed}; the oldest for {facts['days']} days.\nPay from the wallet that was paid: instant refunds pay. Or "
            "let a wallet pay by itself, up to a cap of a day: instant refunds set-wallet, or PUT /me/refund-wallet."
        )
        return "you owe refunds", body
    body = (
        f"{owed}, and the wallet {facts['address']} left some of them unpaid: {refunds.words(facts['cause'])}."
        "\nFund it, raise its cap, or pay them yourself: instant refunds pay."
    )
    return "your wallet cannot pay your refunds", body


def _prompt_leaking(facts: Facts) -> tuple[str, str]:
    answers = facts["canaries"] + facts["overlaps"]
    body = (
        f"In the last {facts['days']} days {_answers(answers)} gave its template away: {facts['canaries']} with our "
        f"canary, which stands beside the template and nowhere else, and {facts['overlaps']} with a long part of it. "
        f"{facts['withheld']} of them were withheld."
    )
    if facts["shield"] != "block":
        body += "\nTo withhold such answers, publish it with prompt_shield: block."
    elif facts["overlaps"] > facts["canaries"]:
        body += "\nIf the template wants its own words repeated, put those in quotation marks."
    return f"{_answers(answers)} gave its template away", body


def _chain_differs(facts: Facts) -> tuple[str, str]:
    network, payments = facts["network"], facts["payments"]
    some = "1 payment" if payments == 1 else f"{payments} payments"
    body = (
        f"The facilitator of {network} told of {some} that the chain does not show so. `instant money check --network "
        f"{network}` names them. Ask the facilitator, or choose another one."
    )
    if not facts["paused"]:
        return f"{some} on {network} {'differs' if payments == 1 else 'differ'} from the chain", body
    return f"nothing is sold on {network} any more", f"{body}\nThen sell again: instant payments resume {network}"


def _model_leaving(facts: Facts) -> tuple[str, str]:
    titles = {
        "renamed": "its model has another id now",
        "withdrawn": "it is off sale, because its model is",
        "unfit": "it is off sale, because its model cannot do as much any more",
        "fallback": "a fallback of it cannot answer any more",
        "lost": "its model is not listed any more",
        "ends": f"its model is served until {facts['until']} only",
        "loss": "it is off sale, because its model got too dear",
        "unserved": "its calls fail, because nobody serves its model within the limits",
        "dear": "a call of it can cost more than its price now",
    }
    if facts["cause"] == "fallback":
        return titles["fallback"], f"{departures.sentence(facts)}."
    body = (
        f"{departures.sentence(facts)}.\nTo switch: instant resources switch, which tests it there first, or "
        "POST /me/resources/{slug}/switch."
    )
    return titles[facts["cause"]], body


def _payout_changing(facts: Facts) -> tuple[str, str]:
    network, address = facts["network"], facts["address"]
    when = f"{datetime.fromisoformat(facts['until']).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if not facts["replaces"]:
        return f"you are paid on {network} too", f"Since {when} buyers may pay {address} on {network}."
    body = (
        f"From {when} on buyers pay {address} on {network}.\nIf that was not you: DELETE /me/payouts/{network}/next"
        " until then, and tell your operator."
    )
    return f"your payout address on {network} changes", body


def _webhook_disabled(facts: Facts) -> tuple[str, str]:
    body = (
        f"Nothing is sent to your webhook {facts['name']} any more: a message failed seven times in about eleven "
        "hours, and none was taken meanwhile.\nMend its receiver, then try it: POST /me/webhooks/{id}/test, or "
        "instant webhooks test. If that is taken, it works again; what it missed is not sent."
    )
    return f"your webhook {facts['name']} is switched off", body


def _listing_differs(facts: Facts) -> tuple[str, str]:
    told = facts.get("told")
    if isinstance(told, dict):
        told = ", ".join(f"{where} {price}" for where, price in told.items())
    found = {
        "not_listed": "It can be sold, and lists do not name it.",
        "unlisted_shown": "It is kept out of lists, and they name it.",
        "unsold_listed": "It cannot be sold now, and lists name it.",
        "not_offered": f"It can be sold, and a request for its offer got status {facts.get('status')}.",
        "price_differs": f"Its price is {facts.get('price')} USDC, but: {told}.",
        "address_differs": f"Its address is {facts.get('address')}, but its offer says {told}.",
        "inputs_differ": "Its offer and the lists describe different inputs.",
    }[facts["cause"]]
    body = (
        f"{found} A stranger saw that twice, at the public address.\nLook at GET /resources, at its openapi.json, and "
        "at what stands between the door and its buyers: a cache, a proxy, or another door with other settings."
    )
    return "lists say otherwise than its offer", body


_WRITERS: dict[NoticeRule, Callable[[Facts], tuple[str, str]]] = {
    "success_low": _success_low,
    "failures_charged": _failures_charged,
    "cost_unusual": _cost_unusual,
    "calls_unusual": _calls_unusual,
    "key_failing": _key_failing,
    "key_low": _key_low,
    "key_old": _key_old,
    "refunds_repeated": _refunds_repeated,
    "refunds_unpaid": _refunds_unpaid,
    "prompt_leaking": _prompt_leaking,
    "chain_differs": _chain_differs,
    "model_leaving": _model_leaving,
    "payout_changing": _payout_changing,
    "webhook_disabled": _webhook_disabled,
    "cap_reached": spending.cap_reached,
    "call_too_dear": spending.call_too_dear,
    "refused_often": spending.refused_often,
    "spend_unusual": spending.spend_unusual,
    "payer_unusual": spending.payer_unusual,
    "sold_below_cost": spending.sold_below_cost,
    "weekly_digest": spending.weekly_digest,
    "listing_differs": _listing_differs,
}


def _answers(count: int) -> str:
    return "1 answer" if count == 1 else f"{count} answers"
