"""Name how a facilitator answered, and say what the operator can do about it."""

from core.net.json_client import JsonResponse, NoResponse
from core.settings import Network

HEARD = frozenset({"yes", "no", "rejected"})
"""Outcomes of a facilitator that works: `rejected` is about the one payload that the request carried."""

SETUP = frozenset({"redirected", "unauthorised", "missing"})
"""Outcomes that are about our URL or our credentials, whatever the payload. Only other settings help."""

PAYLOAD_STATUSES = frozenset({400, 413, 422})
"""Without a verdict, these are about the one payload that the request carried."""

_BY_STATUS = {401: "unauthorised", 403: "unauthorised", 404: "missing", 405: "missing", 410: "missing", 429: "limited"}

_WORDS = {
    "redirected": "answers {status}, a redirect to {host}, and payments follow none: write the URL that it leads to",
    "unauthorised": "answers {status}: check facilitator_token, or cdp_key_id and cdp_key_secret",
    "missing": "answers {status}: check the path of facilitator_url",
    "limited": "answers {status}: we ask more often than it allows; ask its operator for a higher limit",
    "server_error": "answers {status}: the trouble is its own, and it is asked again",
    "unreadable": "answers what is no answer of x402: check whether facilitator_url is a facilitator's",
    "not_sent": "cannot be reached: check the host and the port of facilitator_url, and whether it runs",
    "connection_lost": "ends the connection without an answer; it is asked again",
    "timed_out": "does not answer in time; it is asked again",
    "given_up": "does not answer in time; it is asked again",
    "not_supported": "does not list exact payments on {network}: name a facilitator that does, or remove the network",
}


def outcome_of(response: JsonResponse | NoResponse, verdict_field: str) -> str:
    """Name the outcome of a request to verify or to settle.

    Args:
        response: the facilitator's.
        verdict_field: the boolean that an answer has.

    Returns:
        A word of HEARD or SETUP; `limited` (429); `server_error` (5xx); or why there was no answer.
    """
    trouble = trouble_of(response)
    if isinstance(response, NoResponse) or trouble in SETUP:
        return trouble
    verdict = (response.body or {}).get(verdict_field)
    if isinstance(verdict, bool):
        return "yes" if verdict else "no"
    return "rejected" if response.status in PAYLOAD_STATUSES else trouble


def trouble_of(response: JsonResponse | NoResponse) -> str:
    """Name what is wrong with a response that is not the answer to what was asked."""
    if isinstance(response, NoResponse):
        return response.reason
    if 300 <= response.status < 400:
        return "redirected"
    return _BY_STATUS.get(response.status, "server_error" if response.status >= 500 else "unreadable")


def words(outcome: str, network: Network, response: JsonResponse | NoResponse | None = None) -> str:
    """Say what is wrong and what to do, to complete a sentence about the facilitator of this network.

    It shows the status and the host of a redirect, and nothing else that the facilitator wrote.

    Args:
        outcome: not one of HEARD.
        network: its settings.
        response: the response that the outcome names.
    """
    if isinstance(response, JsonResponse):
        status, host = str(response.status), response.redirect_host or "another address"
    else:
        status, host = "nothing", ""
    return _WORDS[outcome].format(status=status, host=host, network=network.id)
