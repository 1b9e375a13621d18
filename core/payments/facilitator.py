"""Ask a facilitator to verify and to settle, and conclude no more than its answer proves.

The SDK's own client drops the body of every status but 200 and follows redirects; for money both are wrong. Wire
formats and reasons are those of x402 v2 (the `x402` SDK's schemas, and section 9 of the specification).
"""

import asyncio
import logging
import math
import time
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from core.failures import Unavailable, log_unexpected_end
from core.net.circuit_breaker import Breaker
from core.net.json_client import Client, JsonResponse, NoResponse, get, post
from core.observability import metrics
from core.payments import facilitator_outcomes
from core.payments.bazaar import Told
from core.payments.facilitator_auth import credentials_of
from core.payments.facilitator_payload import outgoing
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
    BAZAAR,
    PaymentPayload,
    PaymentRequirements,
    SettleRequest,
    SupportedResponse,
    VerifyRequest,
    evm,
)
from core.settings import Network

log = logging.getLogger(__name__)

SUPPORTED_SECONDS = 600
"""How long a facilitator's answer to /supported counts."""

# How often the log repeats what is wrong with a facilitator.
_REPEAT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a facilitator: an outcome that `facilitator_outcomes` names, and words for the operator."""

    outcome: str
    words: str


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
        self._keeps_list = False
        self._refresh_at = 0.0
        self._refresh_task: asyncio.Task[None] | None = None
        self._last_supported: str | None = None
        self._last_request: str | None = None
        self._logged_at: dict[str, float] = {}

    @property
    def standing(self) -> str:
        """How it stood when it was last asked, for the operator.

        `serving`, `not_supported` (it does not list our network), `unknown` before the first answer, or an outcome that
        `facilitator_outcomes` names. What it made of a payment counts for more than what it says that it supports.
        """
        if not self._serves:
            return "not_supported"
        return self._last_request or self._last_supported or "unknown"

    def is_serving(self) -> bool:
        """Whether it settles exact payments on our network, by its last answer; True until it says otherwise.

        Does not wait: an outdated answer is refreshed by a task on the running event loop.
        """
        if time.monotonic() >= self._refresh_at:
            self._refresh_at = time.monotonic() + SUPPORTED_SECONDS
            self._refresh_task = asyncio.create_task(self._refresh_supported(), name="supported")
            self._refresh_task.add_done_callback(log_unexpected_end)
        return self._serves

    async def look(self) -> Trouble | None:
        """Ask what it supports, and remember it. Without a readable list, what the last one said still counts.

        Returns:
            What is wrong; None if it settles exact payments on our network.
        """
        url = self._url("supported")
        response = await get(self._http, url, self._credentials.headers("GET", url))
        outcome = facilitator_outcomes.trouble_of(response)
        if isinstance(response, JsonResponse) and response.status == 200:
            try:
                supported = SupportedResponse.model_validate(response.body)
            except ValidationError:
                pass
            else:
                served = {(kind.x402_version, kind.scheme, kind.network) for kind in supported.kinds}
                # Some answer eip155:* for every chain of the family (the SDK matches both).
                self._serves = any((2, evm.SCHEME_EXACT, name) in served for name in (self._network.id, "eip155:*"))
                self._keeps_list = BAZAAR in supported.extensions
                outcome = "serving" if self._serves else "not_supported"
        self._last_supported = outcome
        if outcome == "serving":
            return None
        return self.trouble(outcome, response)

    def trouble(self, outcome: str, response: JsonResponse | NoResponse | None = None) -> Trouble:
        """Put what is wrong with it in words."""
        return Trouble(outcome, facilitator_outcomes.words(outcome, self._network, response))

    async def verify(
        self,
        payload: PaymentPayload,
        requirements: PaymentRequirements,
        *,
        is_proved: bool,
        told: Told | None = None,
    ) -> Verdict:
        """Ask whether this payment would settle now. No money moves.

        Args:
            payload: as the buyer sent it, matched with our offer.
            requirements: our own.
            is_proved: whether the signature is known to be the payer's. Otherwise a stranger chose its bytes, and a
                failure about them says nothing to the breaker.
            told: what it may tell of the product, if it keeps a list of services.

        Raises:
            Unavailable: `facilitator_down`, it gave no verdict, or the breaker is open; `facilitator_setup`, it
                rejects our URL or our credentials; `not_supported`, it does not serve our network any more.
        """
        if not self.is_serving():
            raise Unavailable("not_supported")
        if not self._breaker.may_send():
            raise Unavailable("facilitator_down")
        request = VerifyRequest(
            x402_version=2,
            payment_payload=outgoing(payload, requirements, self._listed(told)),
            payment_requirements=requirements,
        )
        response = await self._request("verify", request, "isValid", is_evidence=is_proved)
        if isinstance(response, JsonResponse):
            body = response.body or {}
            if body.get("isValid") is True and response.status == 200:
                return Accepted()
            if body.get("isValid") is False and response.status in REFUSAL_STATUSES:
                return Refused(known_reason(body.get("invalidReason")))
            if response.status in facilitator_outcomes.PAYLOAD_STATUSES:
                return Refused("payload_rejected")
        is_setup = facilitator_outcomes.trouble_of(response) in facilitator_outcomes.SETUP
        raise Unavailable("facilitator_setup" if is_setup else "facilitator_down")

    async def settle(
        self, payload: PaymentPayload, requirements: PaymentRequirements, *, told: Told | None = None
    ) -> Settlement:
        """Ask it to move the money, once.

        Returns:
            Settled or Refused if the answer proves it, otherwise Unknown. An answer that names another payer, payee,
            amount, asset or network than ours proves nothing. A refusal is about this attempt only: whoever holds the
            authorization can submit it until its validBefore.
        """
        request = SettleRequest(
            x402_version=2,
            payment_payload=outgoing(payload, requirements, self._listed(told)),
            payment_requirements=requirements,
        )
        response = await self._request("settle", request, "success", is_evidence=True)
        if isinstance(response, NoResponse):
            return Unknown(response.reason)
        return settlement(response, requirements, str(payload.payload["authorization"].get("from")))

    async def _request(
        self,
        verb: Literal["verify", "settle"],
        request: VerifyRequest | SettleRequest,
        verdict_field: str,
        *,
        is_evidence: bool,
    ) -> JsonResponse | NoResponse:
        """Ask, and tell the breaker whether the facilitator is down, if a failure is evidence of that.

        Buyers choose parts of a payload, so a rejection of one payload is an answer. Our own URL and credentials are
        not the buyers' either: a rejection of those leaves the breaker as it is, and the log names it.
        """
        url, was_open = self._url(verb), self._breaker.is_open
        began, outcome, response = time.monotonic(), "given_up", None
        body = request.model_dump(by_alias=True, exclude_none=True)
        try:
            response = await post(self._http, url, body, self._credentials.headers("POST", url))
            outcome = facilitator_outcomes.outcome_of(response, verdict_field)
            return response
        finally:
            # Also if the caller gave up waiting: that counts as no answer.
            is_heard = outcome in facilitator_outcomes.HEARD
            if is_heard or (is_evidence and outcome not in facilitator_outcomes.SETUP):
                self._breaker.record(answered=is_heard)
            metrics.asked_facilitator(self._network.id, verb, outcome, time.monotonic() - began)
            # What an unproved payment was answered says nothing about the facilitator, unless it is our own mistake.
            if is_heard or is_evidence or outcome in facilitator_outcomes.SETUP:
                self._note(outcome, response)
            if self._breaker.is_open != was_open:
                log.warning("the facilitator of %s is %s", self._network.id, "back" if was_open else "down")

    def _note(self, outcome: str, response: JsonResponse | NoResponse | None) -> None:
        """Log what is wrong in words, the same at most once a minute; and that our settings are right again."""
        is_heard = outcome in facilitator_outcomes.HEARD
        before, self._last_request = self._last_request, "serving" if is_heard else outcome
        if is_heard and before in facilitator_outcomes.SETUP:
            log.warning("the facilitator of %s accepts our requests again", self._network.id)
        now = time.monotonic()
        if is_heard or now - self._logged_at.get(outcome, -math.inf) < _REPEAT_SECONDS:
            return
        self._logged_at[outcome] = now
        level = logging.ERROR if outcome in facilitator_outcomes.SETUP else logging.WARNING
        log.log(level, "the facilitator of %s %s", self._network.id, self.trouble(outcome, response).words)

    async def _refresh_supported(self) -> None:
        """Ask what it supports, and log what is wrong."""
        if self._http.closed:  # the door closed before this task ran
            return
        if trouble := await self.look():
            level = logging.ERROR if trouble.outcome == "not_supported" else logging.WARNING
            log.log(level, "the facilitator of %s, asked what it supports, %s", self._network.id, trouble.words)

    def _listed(self, told: Told | None) -> Told | None:
        return told if self._keeps_list else None

    def _url(self, verb: str) -> str:
        return f"{self._network.facilitator_url.rstrip('/')}/{verb}"
