"""Advise creators on failures with codes of ours. `core/providers/errors.py` has the advice on provider failures."""

from collections.abc import Iterable

from core.failures import Fault
from core.providers import errors as provider_errors
from core.providers import registry as providers

_NOTHING = "Nothing to do: the fault is ours, and the buyer may run it again for free."

ADVICE = {
    "call_cap": "A second send would have cost more than most_per_call_usd of your account allows; raise it.",
    "inputs_no_longer_valid": "The inputs did not fit the version they were sold for. " + _NOTHING,
    "interrupted": "We were stopped between sending and reading. " + _NOTHING,
    "key_disabled": "Your key is switched off; switch it on, or take the prompt off sale.",
    "key_missing": "There is no key any more; set one.",
    "key_unreadable": "We cannot open your key any more; set it again.",
    "landed_late": "It was paid late, when your queue or your spend cap had no room; the buyer may run it again.",
    "monthly_spend_cap": "A second send did not fit your monthly spend cap; raise it, or wait for the next (UTC).",
    "prompt_not_text": "An input held half a character, which cannot be sent. " + _NOTHING,
    "resource_call_cap": "A second send would have cost more than the prompt's most_per_call_usd allows; raise it.",
    "resource_monthly_spend_cap": "A second send did not fit the prompt's monthly cap; raise it, or wait for the next.",
    "resource_spend_cap": "A second send did not fit the prompt's own daily cap; raise it, or wait for tomorrow (UTC).",
    "sealed_value_unreadable": "We cannot open what it was sold with any more. " + _NOTHING,
    "send_refused": "It was sent as often as it may be. " + _NOTHING,
    "spend_cap": "A second send did not fit your daily spend cap; raise it, or wait for tomorrow (UTC).",
    "takeover_limit": "Whoever carried it was stopped again and again. " + _NOTHING,
    "unconfigured_provider": "The operator removed the model's provider; choose another model.",
    "template_unreadable": "We cannot open your template any more; publish the prompt again.",
}

_BY_FAULT: dict[str, str] = {
    "buyer": "The buyer's input was declined. It counts as answered.",
    "creator": "Run the prompt as its owner, and look at your account at the provider.",
    "provider": "The provider failed; if it lasts, choose another model.",
    "ours": _NOTHING,
}


def advice_for(detail: str | None, fault: Fault | str | None, served_by: Iterable[str] = ()) -> str | None:
    """Return a sentence that tells the creator what to do about a failure.

    Args:
        detail: the precise cause, a code of ours.
        fault: who caused it. Decides the sentence for a code without one of its own. None: the call did not fail.
        served_by: the names of the providers that failed so; an advice about credit or a limit ends with their pages.
    """
    if fault is None:
        return None
    of_provider = provider_errors.lookup(detail or "")
    if of_provider and detail in provider_errors.ABOUT_CREDIT:
        return of_provider.advice + "".join(providers.find(name).credit_page for name in sorted({*served_by}))
    return of_provider.advice if of_provider else ADVICE.get(detail or "") or _BY_FAULT[fault]
