"""What a settled payment looks like to its payer."""

from x402.http.utils import encode_payment_response_header
from x402.schemas import SettleResponse


def payment_response(*, paid: bool, transaction: str | None, network: str, payer: str, amount_atomic: int) -> str:
    """The PAYMENT-RESPONSE header (x402 v2, transports-v2/http.md): base64 of a SettleResponse.

    Args:
        paid: whether money moved.
        transaction: its hash, if it did.
        network: CAIP-2.
        payer: the wallet.
        amount_atomic: atomic USDC.
    """
    return encode_payment_response_header(
        SettleResponse(
            success=paid,
            transaction=transaction or "",
            network=network,
            payer=payer,
            amount=str(amount_atomic) if paid else None,
            error_reason=None if paid else "payment_failed",
        )
    )
