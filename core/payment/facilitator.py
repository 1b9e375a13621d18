"""Our side of a facilitator: ask it to verify, ask it to settle, and believe no more than its answer proves.

The SDK's own client drops the body of every status but 200 and follows redirects; for money both are wrong. Wire
shapes and reasons are those of x402 v2 (the `x402` SDK's schemas, and section 9 of the specification).
"""

import asyncio
import json
import re
from dataclasses import dataclass

import httpx
from pydantic_core import from_json
from x402.mechanisms.evm import constants as evm
from x402.schemas import PaymentPayload, PaymentRequirements, SettleRequest, VerifyRequest

from core.failures import Unavailable
from core.settings import Network, settings

CONNECT_SECONDS = 5
MOST_BYTES = 1_048_576
"""No answer of a facilitator or node that we ask for is longer."""

REFUSALS = frozenset(
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
"""Reasons a facilitator gives before it broadcasts anything: names of the SDK, of the specification and of CDP.

Not among them: whatever can also follow a transfer that did happen, such as a used nonce, a failed transaction, or a
failed simulation, in which the SDK also hides used nonces and its own node's trouble.
"""

DOUBTS = frozenset(
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
"""Reasons that we know by name and that decide nothing about a settlement."""

_REFUSING_STATUS = frozenset({200, 400, 402, 412, 422})
_TRANSACTION = re.compile(r"0x[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class Accepted:
    """The payment would settle."""


@dataclass(frozen=True, slots=True)
class Refused:
    """It will not settle, and nothing was sent to the chain. `reason` is one of REFUSALS, DOUBTS or "unrecognised"."""

    reason: str


@dataclass(frozen=True, slots=True)
class Settled:
    """The facilitator says the money moved, in `transaction` (0x and 64 lower-case hex digits)."""

    transaction: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The money may or may not have moved: only the chain can tell.

    `reason` is one of REFUSALS or DOUBTS, or a word for what the answer lacked: `not_sent` (no connection came about),
    `connection_lost`, `timed_out`, `unreadable`, `redirected`, `server_error`, `contradictory` (success without a
    transaction on our network), `unrecognised`.
    """

    reason: str


Verdict = Accepted | Refused
Settlement = Settled | Refused | Unknown


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: HTTP status, and the body if it was a JSON object."""

    status: int
    body: dict[str, object] | None


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing came back: `not_sent`, `connection_lost`, `timed_out` or `unreadable`."""

    reason: str


class Facilitator:
    """The facilitator of one network. It never asks twice by itself.

    Args:
        network: where it is and what it settles.
        http: shared with everybody else who asks the outside.
    """

    def __init__(self, network: Network, http: httpx.AsyncClient) -> None:
        self._network = network
        self._http = http

    async def verify(self, payload: PaymentPayload, requirements: PaymentRequirements) -> Verdict:
        """Ask whether this payment would settle now. Nothing moves.

        Raises:
            Unavailable: `facilitator_down`, if it gave no verdict.
        """
        request = VerifyRequest(x402_version=2, payment_payload=payload, payment_requirements=requirements)
        answer = await self._ask("verify", request)
        if isinstance(answer, Answer) and answer.body is not None:
            valid, reason = answer.body.get("isValid"), _known(answer.body.get("invalidReason"))
            if valid is True and answer.status == 200:
                return Accepted()
            if valid is False and answer.status in _REFUSING_STATUS:
                return Refused(reason)
        raise Unavailable("facilitator_down")

    async def settle(self, payload: PaymentPayload, requirements: PaymentRequirements) -> Settlement:
        """Ask it to move the money, once.

        Returns:
            Settled or Refused if the answer leaves no doubt, otherwise Unknown. A refusal is about this attempt only:
            anybody who holds the authorization can still bring it to the chain until its validBefore.
        """
        request = SettleRequest(x402_version=2, payment_payload=payload, payment_requirements=requirements)
        answer = await self._ask("settle", request)
        if isinstance(answer, Silence):
            return Unknown(answer.reason)
        return settlement(answer, self._network.id)

    async def _ask(self, verb: str, request: VerifyRequest | SettleRequest) -> Answer | Silence:
        url = f"{self._network.facilitator_url.rstrip('/')}/{verb}"
        return await post(self._http, url, request.model_dump(by_alias=True, exclude_none=True))


def settlement(answer: Answer, network: str) -> Settlement:
    """What an answer to settle proves.

    Args:
        answer: whatever a facilitator, or something in its place, said.
        network: CAIP-2 name of the network on which the money should have moved.
    """
    status, body = answer.status, answer.body
    if 300 <= status < 400:
        return Unknown("redirected")
    if body is None:
        return Unknown("server_error" if status >= 500 else "unreadable")
    success, transaction, reason = body.get("success"), body.get("transaction"), _known(body.get("errorReason"))
    if success is True and status == 200:
        is_ours = (
            isinstance(transaction, str) and _TRANSACTION.fullmatch(transaction) and body.get("network") == network
        )
        return Settled(str(transaction).lower()) if is_ours else Unknown("contradictory")
    if success is False and status in _REFUSING_STATUS and transaction in (None, "") and reason in REFUSALS:
        return Refused(reason)
    return Unknown("server_error" if status >= 500 and reason == "unrecognised" else reason)


async def post(http: httpx.AsyncClient, url: str, body: object) -> Answer | Silence:
    """Post JSON and read JSON, within the configured time, whatever the status. Nothing is followed or repeated.

    The exceptions of httpx carry the request and its headers, so none of them leaves here.
    """
    seconds = settings().facilitator_timeout_seconds
    try:
        async with (
            # httpx counts between bytes; an answer that trickles must end too.
            asyncio.timeout(seconds),
            http.stream(
                "POST",
                url,
                # Plain ASCII and the NaN extension: what a buyer signed reaches the facilitator, who may refuse it.
                content=json.dumps(body).encode(),
                headers={"content-type": "application/json", "accept": "application/json"},
                timeout=httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds)),
                follow_redirects=False,
            ) as response,
        ):
            content = await _read(response)
            return Answer(response.status_code, _object(content)) if content is not None else Silence("unreadable")
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
        return Silence("not_sent")
    except (httpx.TimeoutException, TimeoutError):
        return Silence("timed_out")
    except httpx.DecodingError:
        return Silence("unreadable")
    except (httpx.HTTPError, httpx.InvalidURL):
        return Silence("connection_lost")


async def _read(response: httpx.Response) -> bytes | None:
    """The body, unless it is longer than MOST_BYTES."""
    content = b""
    async for part in response.aiter_bytes():
        content += part
        if len(content) > MOST_BYTES:
            return None
    return content


def _object(content: bytes) -> dict[str, object] | None:
    try:
        parsed = from_json(content)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _known(reason: object) -> str:
    """A reason that we know by name; foreign text goes no further."""
    return reason if isinstance(reason, str) and reason in REFUSALS | DOUBTS else "unrecognised"
