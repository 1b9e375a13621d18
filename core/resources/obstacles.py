"""Say to a creator what each obstacle to a sale means, and what to do about it."""

from collections.abc import Mapping

ADVICE: Mapping[str, str] = {
    "draft": "It was never published; publish it.",
    "archived": "You took it off sale; restore it to sell it again.",
    "unconfigured_provider": "The operator removed the provider of its model; switch to another model.",
    "key_missing": "You have no key at the provider of its model; set one.",
    "key_disabled": "Your key at the provider of its model is switched off; switch it on.",
    "key_rejected": "The provider of its model rejects your key; set a new one.",
    "key_expired": "Your key at the provider of its model has expired; set a new one.",
    "key_spent": "Your key at the provider of its model has reached its limit; raise that there.",
    "key_unreadable": "We cannot open your key any more; set it again.",
    "template_unreadable": "We cannot open its template any more; publish it again.",
    "model_withdrawn": "Nothing is sold on its model, or that cannot do what it asks for; switch to another model.",
    "certain_loss": "Hardly any call earns its cost; raise its price, switch to a cheaper model, or allow the loss.",
    "call_cap": "A call can cost more than you allow one to cost; raise that cap, or lower what a call can cost.",
    "resource_call_cap": "A call can cost more than its own cap of one call; raise that, or lower what it can cost.",
    "spend_cap": "Your daily spend cap has no room for another call; raise it, or wait for tomorrow (UTC).",
    "resource_spend_cap": "Its own daily cap has no room for another call; raise it, or wait for tomorrow (UTC).",
    "monthly_spend_cap": "Your monthly cap has no room for another call; raise it, or wait for next month (UTC).",
    "resource_monthly_spend_cap": "Its own monthly cap has no room for a call; raise it, or wait for next month (UTC).",
    "queue_full": "As many of your calls wait as may wait; it is sold again when some have run.",
    "network_paused": "The operator has paused every network that you are paid on; add a payout address on another.",
    "no_payout_address": "You have no payout address; add one.",
}
"""By the codes of `readiness.readiness`, with those of `core.spend.reservations.CAPS`; and `draft`."""
