"""The committed bytecode behaves like USDC as far as the exact scheme relies on it: checks, order, errors, events."""

import secrets
import time
from typing import Any

import pytest
from eth_keys.constants import SECPK1_N
from web3.exceptions import ContractLogicError
from x402.schemas import PaymentPayload

from tests import practice
from tests.chain.anvil import CONTRACTS, TOKEN_NAME, Chain


@pytest.fixture
def payment(chain: Chain) -> PaymentPayload:
    """A payment of 2000 atomic units from a wallet that has them."""
    return chain.signed()


def refusal(chain: Chain, payment: PaymentPayload, signature: bytes | None = None) -> str:
    """The token's error when it refuses a payment."""
    with pytest.raises(ContractLogicError) as raised:
        chain.send(chain.transfer(payment, signature))
    return str(raised.value)


def events(chain: Chain, transaction: str) -> list[dict[str, Any]]:
    """The token's events in a transaction, in order."""
    receipt = chain.web3.eth.get_transaction_receipt(transaction)  # type: ignore[arg-type]
    said = (getattr(chain.token.events, name)() for name in ("Transfer", "AuthorizationUsed", "AuthorizationCanceled"))
    kinds = {kind.topic: kind for kind in said}
    read = [kinds["0x" + log["topics"][0].hex()].process_log(log) for log in receipt["logs"]]
    return [{"event": log["event"]} | dict(log["args"]) for log in read]


def test_it_is_what_it_says(chain: Chain) -> None:
    """Name and version are the EIP-712 domain that wallets sign; amounts have six decimals."""
    told = {name: getattr(chain.token.functions, name)().call() for name in ("name", "version", "decimals")}

    assert told == {"name": TOKEN_NAME, "version": "2", "decimals": 6}
    assert CONTRACTS["compiler"].startswith("vyper 0.4.3")


def test_a_signed_transfer_moves_the_money_once(chain: Chain, payment: PaymentPayload) -> None:
    """AuthorizationUsed, directly followed by Transfer; the second attempt finds it used."""
    to, payer = payment.accepted.pay_to, payment.payload["authorization"]["from"]
    transaction = chain.bring(payment)

    assert events(chain, transaction) == [
        {"event": "AuthorizationUsed", "authorizer": payer, "nonce": practice.nonce(payment)},
        {"event": "Transfer", "sender": payer, "receiver": to, "amount": 2000},
    ]
    assert (chain.balance(payer), chain.balance(to)) == (0, 2000)
    assert chain.token.functions.authorizationState(payer, practice.nonce(payment)).call()
    assert "FiatTokenV2: authorization is used or canceled" in refusal(chain, payment)


def test_a_cancelled_authorization_never_moves_money(chain: Chain) -> None:
    """Only its signer can cancel; then it is used, without a transfer."""
    payer, nonce = practice.wallet(), secrets.token_bytes(32)
    transaction = chain.cancel(payer, nonce)

    assert events(chain, transaction) == [
        {"event": "AuthorizationCanceled", "authorizer": payer.address, "nonce": nonce}
    ]
    chain.mint(payer.address, 2000)
    with pytest.raises(ContractLogicError, match="authorization is used or canceled"):
        chain.move(payer, practice.PAY_TO.lower(), 2000, nonce)
    with pytest.raises(ContractLogicError, match="authorization is used or canceled"):
        chain.cancel(payer, nonce)


def test_it_keeps_the_window(chain: Chain) -> None:
    """It is valid strictly after validAfter and strictly before validBefore, by the block's clock."""
    late = chain.signed(seconds=-60)
    early = chain.signed()
    early.payload["authorization"]["validAfter"] = str(int(time.time()) + 3600)

    assert "FiatTokenV2: authorization is expired" in refusal(chain, late)
    assert "FiatTokenV2: authorization is not yet valid" in refusal(chain, early)


def test_it_knows_signatures(chain: Chain, payment: PaymentPayload) -> None:
    """Another signer's, another amount's, the high twin and an odd v are each refused, and the true one is accepted."""
    true = bytes.fromhex(payment.payload["signature"].removeprefix("0x"))
    high = (SECPK1_N - int.from_bytes(true[32:64], "big")).to_bytes(32, "big")
    other = payment.model_copy(deep=True)
    other.payload["authorization"]["value"] = "1"

    assert "FiatTokenV2: invalid signature" in refusal(chain, other)
    assert "ECRecover: invalid signature 's' value" in refusal(
        chain, payment, true[:32] + high + bytes([55 - true[64]])
    )
    assert "ECRecover: invalid signature 'v' value" in refusal(chain, payment, true[:64] + b"\x1d")
    assert "ECRecover: invalid signature" in refusal(chain, payment, bytes(64) + b"\x1b")
    assert chain.bring(payment)


def test_it_pays_nothing_that_is_not_there(chain: Chain) -> None:
    """A balance that is too small leaves the authorization unused, and the call fails."""
    poor = chain.signed(has=1999)

    assert "ERC20: transfer amount exceeds balance" in refusal(chain, poor)
    chain.mint(poor.payload["authorization"]["from"], 1)
    assert chain.bring(poor)
