"""The authorization that pays a refund back: what the paying wallet signs, and whether it has signed it (EIP-3009)."""

from typing import Protocol
from uuid import UUID

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from core.db.queries.refund_transfer import Reserved
from core.evm import signatures
from core.payments.x402_sdk import ExactEIP3009Authorization, hash_eip3009_authorization


def nonce_of(execution_id: UUID) -> bytes:
    """Return the nonce of the transfer that refunds an execution: 32 bytes, always the same."""
    return keccak(b"x402-instant/refund\x00" + execution_id.bytes)


class Token(Protocol):
    """What an authorization is signed for: an asset on a chain, with the name and version of its EIP-712 domain."""

    @property
    def chain_id(self) -> int: ...
    @property
    def asset(self) -> str: ...
    @property
    def asset_name(self) -> str: ...
    @property
    def asset_version(self) -> str: ...


def digest_of(token: Token, reserved: Reserved) -> bytes:
    """Return the 32 bytes that the paying wallet signs (EIP-712, TransferWithAuthorization of EIP-3009)."""
    signed = authorization_of(reserved)
    return hash_eip3009_authorization(
        ExactEIP3009Authorization(
            from_address=signed["from"],
            to=signed["to"],
            value=signed["value"],
            valid_after=signed["validAfter"],
            valid_before=signed["validBefore"],
            nonce=signed["nonce"],
        ),
        token.chain_id,
        token.asset,
        token.asset_name,
        token.asset_version,
    )


def authorization_of(reserved: Reserved) -> dict[str, str]:
    """Return the members of the authorization as x402 spells them."""
    return {
        "from": to_checksum_address(reserved.payer),
        "to": to_checksum_address(reserved.pay_to),
        "value": str(reserved.amount_atomic),
        "validAfter": "0",
        "validBefore": str(int(reserved.valid_before.timestamp())),
        "nonce": f"0x{reserved.nonce.hex()}",
    }


def is_signed(token: Token, reserved: Reserved, signature: bytes) -> bool:
    """Whether the paying wallet signed this authorization with its own key."""
    return (
        len(signature) == signatures.LENGTH
        and signatures.recover(digest_of(token, reserved), signature) == reserved.payer
    )
