"""Ask a facilitator to verify and to settle, and conclude no more than its answer proves.

The SDK's own client drops the body of every status but 200 and follows redirects; for money both are wrong. Wire
formats and reasons are those of x402 v2 (the `x402` SDK's schemas, and section 9 of the specification).
"""

import asyncio
import logging
import re
import time
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from core.failures import Unavailable, log_unexpected_end
from core.net.circuit_breaker import Breaker
from core.net.json_client import Client, JsonResponse, NoResponse, get, post
from core.observability import metrics
from core.payments.facilitator_auth import credentials_of
from core.payments.x402_sdk import (
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

REFUSAL_REASONS = frozenset(
    {
        evm.ERR_ASSET_NOT_DEPLOYED_CONTRACT,
        evm.ERR_AUTHORIZATION_VALUE_MISMATCH,
        evm.ERR_EIP3009_NOT_SUPPORTED,
        evm.ERR_FAILED_TO_GET_ASSET_INFO,
        evm.ERR_FAILED_TO_GET_NETWORK_CONFIG,
        evm.ERR_FAILED_TO_VERIFY_SIGNATURE,
        evm.ERR_INSUFFICIENT_BALANCE,
        evm.ERR_INVALID_SIGNATURE,
        evm.ERR_MISSING_EIP712_DOMAIN,
        evm.ERR_NETWORK_MISMATCH,
        evm.ERR_RECIPIENT_MISMATCH,
        evm.ERR_TOKEN_NAME_MISMATCH,
        evm.ERR_TOKEN_VERSION_MISMATCH,
        evm.ERR_UNDEPLOYED_SMART_WALLET,
        evm.ERR_UNSUPPORTED_SCHEME,
        evm.ERR_VALID_AFTER_FUTURE,
        evm.ERR_VALID_BEFORE_EXPIRED,
        "insufficient_funds",
        "invalid_exact_evm_payload_authorization_from_address_kyt",
        "invalid_exact_evm_payload_authorization_to_address_kyt",
        "invalid_exact_evm_payload_authorization_typed_data_message",
        "invalid_exact_evm_payload_authorization_value",
        "invalid_exact_evm_payload_authorization_value_too_low",
        "invalid_exact_evm_payload_signature_address",
        "invalid_network",
        "invalid_payload",
        "invalid_payment_requirements",
        "invalid_scheme",
        "invalid_x402_version",
    }
)
"""Reasons that a facilitator gives before it broadcasts: names of the SDK, of the specification and of CDP.

Excluded is every reason that can also follow a completed transfer: a used nonce, a failed transaction, or a failed
simulation, under which the SDK also reports used nonces and failures of its own node.
"""

UNCERTAIN_REASONS = frozenset(
    {
        evm.ERR_NONCE_ALREADY_USED,
        evm.ERR_SETTLEMENT_PENDING,
        evm.ERR_TRANSACTION_FAILED,
        evm.ERR_TRANSACTION_SIMULATION_FAILED,
        evm.ERR_TRANSFER_EVENT_MISMATCH,
        "invalid_transaction_state",
        "unexpected_settle_error",
    }
)
"""Reasons with known names that leave the outcome of a settlement open."""

_REFUSAL_STATUSES = frozenset({200, 400, 402, 412, 422})
_TRANSACTION = re.compile(r"0x[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class Accepted:
    """The facilitator says that the payment would settle."""


@dataclass(frozen=True, slots=True)
class Refused:
    """It will not settle, and nothing was broadcast.

    `reason` is one of REFUSAL_REASONS, UNCERTAIN_REASONS or "unrecognised".
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Settled:
    """The facilitator says the money moved, in `transaction` (0x and 64 lower-case hex digits)."""

    transaction: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The money may or may not have moved: only the chain can tell.

    `reason` is one of REFUSAL_REASONS or UNCERTAIN_REASONS, or names the defect of the answer: `not_sent` (no
    connection was made), `connection_lost`, `timed_out`, `unreadable`, `redirected`, `server_error`, `contradictory`
    (success without a transaction on our network), `unrecognised`.
    """

    reason: str


Verdict = Accepted | Refused
Settlement = Settled | Refused | Unknown


class Facilitator:
    """The facilitator of one network. It never retries by itself.

    While it is down, `verify` fails at once, so that nothing is claimed. `settle` ignores the breaker, because a
    claimed payment must end as paid, failed or unknown. Both report their results to the breaker.

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
            Unavailable: `facilitator_down`, it gave no verdict, or the breaker is open; `not_supported`, it does not
                serve our network any more.
        """
        if not self.is_serving():
            raise Unavailable("not_supported")
        if not self._breaker.may_send():
            raise Unavailable("facilitator_down")
        request = VerifyRequest(x402_version=2, payment_payload=payload, payment_requirements=requirements)
        response = await self._request("verify", request, "isValid")
        if isinstance(response, JsonResponse) and response.body is not None:
            valid, reason = response.body.get("isValid"), _known_reason(response.body.get("invalidReason"))
            if valid is True and response.status == 200:
                return Accepted()
            if valid is False and response.status in _REFUSAL_STATUSES:
                return Refused(reason)
        raise Unavailable("facilitator_down")

    async def settle(self, payload: PaymentPayload, requirements: PaymentRequirements) -> Settlement:
        """Ask it to move the money, once.

        Returns:
            Settled or Refused if the answer proves it, otherwise Unknown. A refusal is about this attempt only:
            whoever holds the authorization can submit it until its validBefore.
        """
        request = SettleRequest(x402_version=2, payment_payload=payload, payment_requirements=requirements)
        response = await self._request("settle", request, "success")
        if isinstance(response, NoResponse):
            return Unknown(response.reason)
        return settlement(response, self._network.id)

    async def _request(
        self, verb: Literal["verify", "settle"], request: VerifyRequest | SettleRequest, verdict_field: str
    ) -> JsonResponse | NoResponse:
        """Ask, and tell the breaker whether the answer holds its one required member."""
        url, was_open, is_answered = self._url(verb), self._breaker.is_open, False
        began, outcome = time.monotonic(), "given_up"
        body = request.model_dump(by_alias=True, exclude_none=True)
        try:
            response = await post(self._http, url, body, self._credentials.headers("POST", url))
            verdict = (response.body or {}).get(verdict_field) if isinstance(response, JsonResponse) else None
            is_answered = isinstance(verdict, bool)
            outcome = response.reason if isinstance(response, NoResponse) else "unreadable"
            if is_answered:
                outcome = "yes" if verdict else "no"
            return response
        finally:
            # Also if the caller gave up waiting: that counts as no answer.
            self._breaker.record(answered=is_answered)
            metrics.asked_facilitator(self._network.id, verb, outcome, time.monotonic() - began)
            if self._breaker.is_open != was_open:
                log.warning("the facilitator of %s is %s", self._network.id, "back" if was_open else "down")

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


def settlement(response: JsonResponse, network: str) -> Settlement:
    """Decide what an answer to settle proves.

    Args:
        response: the response of the facilitator, or of a server in its place.
        network: CAIP-2 name of the network on which the money should have moved.
    """
    status, body = response.status, response.body
    if 300 <= status < 400:
        return Unknown("redirected")
    if body is None:
        return Unknown("server_error" if status >= 500 else "unreadable")
    success, transaction, reason = body.get("success"), body.get("transaction"), _known_reason(body.get("errorReason"))
    if success is True and status == 200:
        is_on_network = (
            isinstance(transaction, str) and _TRANSACTION.fullmatch(transaction) and body.get("network") == network
        )
        return Settled(str(transaction).lower()) if is_on_network else Unknown("contradictory")
    if success is False and status in _REFUSAL_STATUSES and transaction in (None, "") and reason in REFUSAL_REASONS:
        return Refused(reason)
    return Unknown("server_error" if status >= 500 and reason == "unrecognised" else reason)


def _known_reason(reason: object) -> str:
    """Return a reason with a known name; any other text becomes `unrecognised`."""
    return reason if isinstance(reason, str) and reason in REFUSAL_REASONS | UNCERTAIN_REASONS else "unrecognised"
