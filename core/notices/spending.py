"""Write the notices of a creator's margin and buyers: caps, refusals, unusual days, and the digest of a week."""

from decimal import Decimal

from core.amounts import usdc
from core.notices.wording import Facts, money, often, share


def cap_reached(facts: Facts) -> tuple[str, str]:
    """Of a day's or a month's cap most is used, or nothing more fits."""
    period = {"day": "daily", "month": "monthly"}[facts["period"]]
    body = (
        f"{money(facts['used_usd'])} of the {period} spend cap of {money(facts['cap_usd'])} are spent or reserved. "
        f"It starts anew on {facts['until']} (UTC)."
    )
    change = "\nTo change it: PATCH /me or PATCH /me/resources/{slug}, or instant creators caps."
    if facts["percent"] == 100:
        return f"its {period} spend cap is reached", f"{body} Until then calls that do not fit are not sold.{change}"
    return f"80 % of its {period} spend cap are used", body + change


def call_too_dear(facts: Facts) -> tuple[str, str]:
    """A call can cost more than the most per call."""
    body = (
        f"A call can cost up to {money(facts['worst_cost_usd'])} at today's prices, and most_per_call_usd is "
        f"{money(facts['cap_usd'])}. Raise that, lower max_output_tokens, or choose a cheaper model."
    )
    return "it is off sale, because a call can cost too much", body


def refused_often(facts: Facts) -> tuple[str, str]:
    """The provider answered too many calls with 429."""
    body = (
        f"The provider answered {facts['refused']} of today's {facts['calls']} calls (UTC) with 429 (too many "
        "requests), also where a repetition succeeded. Raise your limits there, name fallbacks, or lower your slots."
    )
    return f"{share(facts['refused'], facts['calls'])} of its calls meet a full provider", body


def spend_unusual(facts: Facts) -> tuple[str, str]:
    """A day's spending is far above the usual."""
    body = (
        f"Today (UTC) models cost you {money(facts['spent_usd'])} so far. On {facts['days']} days with calls before it "
        f"was {money(facts['usual_usd'])} usually.\nIf you did not expect that, look who buys "
        "(GET /me/usage?by=payer), and at your spend caps."
    )
    return "models cost you more than twice the usual today", body


def payer_unusual(facts: Facts) -> tuple[str, str]:
    """One wallet buys far more than the others."""
    body = (
        f"Today (UTC) the wallet {facts['payer']} bought {facts['calls']} calls. The {facts['others']} other wallets "
        f"bought {facts['mean']} on average."
    )
    return "one wallet buys more than ten times what others do", body


def sold_below_cost(facts: Facts) -> tuple[str, str]:
    """Calls cost more than they brought in."""
    body = (
        f"{facts['calls']} paid calls of the last {facts['days']} days cost {money(facts['spent_usd'])} and brought in "
        f"{usdc(facts['revenue_atomic'])} USDC. Raise the price, lower max_output_tokens, or choose a cheaper model."
    )
    return "its calls cost more than they bring in", body


def weekly_digest(facts: Facts) -> tuple[str, str]:
    """The figures of a week, and what is off sale."""
    revenue = Decimal(facts["revenue_atomic"]).scaleb(-6)
    margin = revenue - Decimal(facts["spent_usd"])
    lines = [
        f"From {facts['since']} to before {facts['until']} (UTC): {facts['calls']} paid calls, {facts['succeeded']} "
        f"answered, {facts['declined']} declined, {facts['failed']} failed.",
        f"Revenue {usdc(facts['revenue_atomic'])} USDC, cost of models {money(facts['cost_usd'])}, margin at least "
        f"{money(str(margin))}." + often(facts),
    ]
    if facts["off_sale"]:
        lines.append("Off sale now: " + ", ".join(f"{one['slug']} ({one['obstacle']})" for one in facts["off_sale"]))
    lines.append('No digest any more: PATCH /me with {"weeklyDigest": false}, or instant notices digest HANDLE --off.')
    return f"your week: {facts['calls']} paid calls, {usdc(facts['revenue_atomic'])} USDC", "\n".join(lines)
