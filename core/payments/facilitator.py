"""Ask a facilitator to verify and to settle, and conclude no more than its answer proves.

The SDK's own client drops the body of every status but 200 and follows redirects; for money both are wrong. Wire
formats and reasons are those of x402 v2 (the `x402` SDK's schemas, and section 9 of the specification).
"""

import asyncio
import logging
import time
from typing import Literal

from pydantic import ValidationError

from core.failures import Unavailable, log_unexpected_end
from core.net.circuit_breaker import Breaker
from core.net.json_client import Client, JsonResponse, NoResponse, get, post
from core.observability import metrics
from core.payments.facilitator_auth import credentials_of
from core.payments.verdicts import (
    REFUSAL_STATUSES,
    Accepted,
    Refused,
    Settlement,
    Unknown,
    Verdict,
    known_reason,
    settlement,
)
from core.payments.x402_sdk import (
    PaymentPayload,
    PaymentRequirements,
    ResourceInfo,
    SettleRequest,
    SupportedResponse,
    VerifyRequest,
    evm,
)
from core.settings import Network

log = logging.getLogger(__name__)

SUPPORTED_SECONDS = 600
"""How long a facilitator's answer to /supported counts."""

# Without a verdict, these are about the one payload that the request carried.
_PAYLOAD_STATUSES = frozenset({400, 413, 422})
# These, and redirects, are about our URL or our credentials, whatever the payload.
_SETUP_STATUSES = frozenset({401, 403, 404, 405, 410})
_AUTHORIZATION_MEMBERS = ("from", "to", "value", "validAfter", "validBefore", "nonce")


class Facilitator:
    """The facilitator of one network. It never retries by itself.

    While it is down, `verify` fails at once, so that nothing is claimed. `settle` ignores the breaker, because a
    claimed payment must end as paid, failed or unknown. Both report to the breaker whether it is down; a rejection of
    one payload, or of our credentials, does not count as down.

    Args:
        network: its URL, credentials and asset.
        http: the HTTP client that all networks share.
        breaker: keeps buyers from waiting for a facilitator that is down.

    Raises:
        Misconfigured: the key in the settings cannot sign.
    """

    def __init__(self, network: Network, http: Client, breaker: Breaker | None = None) -> None:
        self._network = network
        self._http = http
        self._breaker = breaker or Breaker()
        self._credentials = credentials_of(network)
        self._serves = True
        self._refresh_at = 0.0
        self._refresh_task: asyncio.Task[None] | None = None
        self._setup_status: int | None = None

    def is_serving(self) -> bool:
        """Whether it settles exact payments on our network, by its last answer; True until it says otherwise.

        Does not wait: an outdated answer is refreshed by a task on the running event loop.
        """
        if time.monotonic() >= self._refresh_at:
            self._refresh_at = time.monotonic() + SUPPORTED_SECONDS
            self._refresh_task = asyncio.create_task(self._refresh_supported(), name="supported")
            self._refresh_task.add_done_callback(log_unexpected_end)
        return self._serves

    async def get_supported(self) -> SupportedResponse:
        """Ask what it supports.

        Raises:
            Unavailable: `facilitator_down`, it gave no answer.
        """
        url = self._url("supported")
        response = await get(self._http, url, self._credentials.headers("GET", url))
        if isinstance(response, JsonResponse) and response.status == 200:
            try:
                return SupportedResponse.model_validate(response.body)
            except ValidationError:
                pass
        raise Unavailable("facilitator_down")

    async def verify(self, payload: PaymentPayload, requirements: PaymentRequirements) -> Verdict:
        """Ask whether this payment would settle now. No money moves.

        Raises:
            Unavailable: `facilitator_down`, it gave no verdict, or the breaker is open; `facilitator_setup`, it
                rejects our URL or our credentials; `not_supported`, it does not serve our network any more.
        """
        if not self.is_serving():
            raise Unavailable("not_supported")
        if not self._breaker.may_send():
            raise Unavailable("facilitator_down")
        request = VerifyRequest(
            x402_version=2, payment_payload=outgoing(payload, requirements), payment_requirements=requirements
        )
        response = await self._request("verify", request, "isValid")
        if isinstance(response, JsonResponse):
            body = response.body or {}
            if body.get("isValid") is True and response.status == 200:
                return Accepted()
            if body.get("isValid") is False and response.status in REFUSAL_STATUSES:
                return Refused(known_reason(body.get("invalidReason")))
            if response.status in _PAYLOAD_STATUSES:
                return Refused("payload_rejected")
            if _is_about_setup(response.status):
                raise Unavailable("facilitator_setup")
        raise Unavailable("facilitator_down")

    async def settle(self, payload: PaymentPayload, requirements: PaymentRequirements) -> Settlement:
        """Ask it to move the money, once.

        Returns:
            Settled or Refused if the answer proves it, otherwise Unknown. An answer that names another payer, payee,
            amount, asset or network than ours proves nothing. A refusal is about this attempt only: whoever holds the
            authorization can submit it until its validBefore.
        """
        request = SettleRequest(
            x402_version=2, payment_payload=outgoing(payload, requirements), payment_requirements=requirements
        )
        response = await self._request("settle", request, "success")
        if isinstance(response, NoResponse):
            return Unknown(response.reason)
        return settlement(response, requirements, str(payload.payload["authorization"].get("from")))

    async def _request(
        self, verb: Literal["verify", "settle"], request: VerifyRequest | SettleRequest, verdict_field: str
    ) -> JsonResponse | NoResponse:
        """Ask, and tell the breaker whether the facilitator is down.

        Buyers choose parts of a payload, so a rejection of one payload is an answer. Our own URL and credentials are
        not the buyers' either: a rejection of those leaves the breaker as it is, and the log names it.
        """
        url, was_open = self._url(verb), self._breaker.is_open
        began, outcome = time.monotonic(), "given_up"
        body = request.model_dump(by_alias=True, exclude_none=True)
        try:
            response = await post(self._http, url, body, self._credentials.headers("POST", url))
            outcome = _outcome_of(response, verdict_field)
            self._note_setup(response)
            return response
        finally:
            # Also if the caller gave up waiting: that counts as no answer.
            if outcome != "setup":
                self._breaker.record(answered=outcome in ("yes", "no", "rejected"))
            metrics.asked_facilitator(self._network.id, verb, outcome, time.monotonic() - began)
            if self._breaker.is_open != was_open:
                log.warning("the facilitator of %s is %s", self._network.id, "back" if was_open else "down")

    def _note_setup(self, response: JsonResponse | NoResponse) -> None:
        """Log once that the facilitator rejects our URL or our credentials, and once that it no longer does."""
        if isinstance(response, NoResponse):
            return
        status = response.status if _is_about_setup(response.status) else None
        if status != self._setup_status:
            self._setup_status = status
            if status is None:
                log.warning("the facilitator of %s accepts our requests again", self._network.id)
            else:
                log.error(
                    "the facilitator of %s answers %d: check facilitator_url and its credentials",
                    self._network.id,
                    status,
                )

    async def _refresh_supported(self) -> None:
        """Ask what it supports and remember it. Without an answer, the last one still counts."""
        if self._http.closed:  # the door closed before this task ran
            return
        try:
            supported = await self.get_supported()
        except Unavailable:
            return
        served = {(kind.x402_version, kind.scheme, kind.network) for kind in supported.kinds}
        # Some answer eip155:* for every chain of the family (the SDK matches both).
        self._serves = any((2, evm.SCHEME_EXACT, name) in served for name in (self._network.id, "eip155:*"))
        if not self._serves:
            log.error("the facilitator of %s does not settle exact payments there", self._network.id)

    def _url(self, verb: str) -> str:
        return f"{self._network.facilitator_url.rstrip('/')}/{verb}"


def outgoing(payload: PaymentPayload, requirements: PaymentRequirements) -> PaymentPayload:
    """Build the payload for the facilitator: the signed authorization of the buyer, and our own words for the rest.

    Facilitators validate members that nobody signed, such as `resource.description` and `extensions`. A buyer could
    write anything there, and would choose what the facilitator answers.

    Args:
        payload: as the buyer sent it, matched with our offer.
        requirements: our own.
    """
    authorization = payload.payload["authorization"]
    return PaymentPayload(
        x402_version=2,
        payload={
            "signature": payload.payload.get("signature"),
            "authorization": {name: authorization[name] for name in _AUTHORIZATION_MEMBERS if name in authorization},
        },
        accepted=requirements,
        resource=ResourceInfo(url=payload.resource.url) if payload.resource else None,
    )


def _outcome_of(response: JsonResponse | NoResponse, verdict_field: str) -> str:
    """Name the outcome of a request: `yes`, `no`, `rejected` (this payload), `setup` (our side), or why none came."""
    if isinstance(response, NoResponse):
        return response.reason
    verdict = (response.body or {}).get(verdict_field)
    if isinstance(verdict, bool):
        return "yes" if verdict else "no"
    if response.status in _PAYLOAD_STATUSES:
        return "rejected"
    return "setup" if _is_about_setup(response.status) else "unreadable"


def _is_about_setup(status: int) -> bool:
    return 300 <= status < 400 or status in _SETUP_STATUSES
