"""Build offers: the 402 of x402 v2 and the payment requirements of one network."""

from functools import lru_cache

from core.evm.addresses import checksummed
from core.payments import bazaar, codec
from core.payments.x402_sdk import BAZAAR, PaymentRequired, PaymentRequirements, ResourceInfo
from core.resources import product, versions
from core.settings import Network, settings


def payment_required(version: versions.Version, payouts: dict[str, str], error: str, quote: str) -> PaymentRequired:
    """Build the PaymentRequired of x402 v2 (specs/x402-specification-v2.md): one entry per network with a payout.

    What is listed has the block for lists, within the limit of the header.
    """
    required = PaymentRequired(
        error=error,
        resource=resource_of(version),
        accepts=[
            requirements_for(network, payouts[network.id], version.price_atomic, quote)
            for network in settings().networks
            if network.id in payouts
        ],
        extensions=codec.extensions(),
    )
    return bazaar.fitted(required, version) if version.listed else required


@lru_cache(maxsize=1024)
def told(version: versions.Version, payouts: tuple[tuple[str, str], ...]) -> bazaar.Told | None:
    """Return what the offer of a version tells lists, for facilitators that keep one; None if it is unlisted."""
    if not version.listed:
        return None
    required = payment_required(version, dict(payouts), "", "")
    return bazaar.Told(required.resource or resource_of(version), (required.extensions or {}).get(BAZAAR))


def resource_of(sold: product.Product) -> ResourceInfo:
    """Describe a product in the words of x402."""
    return ResourceInfo(url=url_of(sold), description=sold.description or sold.title, mime_type="application/json")


def url_of(version: product.Product) -> str:
    """Return the resource's public URL, built from PUBLIC_URL and never from a Host header."""
    return f"{settings().public_url}/@{version.handle}/{version.slug}"


def mcp_url_of(version: product.Product) -> str:
    """Return the public URL of the MCP server that has its creator's prompts as tools."""
    return f"{settings().public_url}/@{version.handle}/mcp"


def requirements_of(network: Network, pay_to: str, amount_atomic: int) -> PaymentRequirements:
    """Build the requirements of a payment as they go to the facilitator, also to settle it again: without a quote."""
    return requirements_for(network, pay_to, amount_atomic, None)


def requirements_for(network: Network, pay_to: str, amount_atomic: int, quote_id: str | None) -> PaymentRequirements:
    extra = {"name": network.asset_name, "version": network.asset_version, "paymentFlow": "upfront"}
    return PaymentRequirements(
        scheme="exact",
        network=network.id,
        asset=network.asset,
        amount=str(amount_atomic),
        # Clients sign the payee as written here, and web3.py sends only to addresses in EIP-55's mixed case.
        pay_to=checksummed(pay_to),
        max_timeout_seconds=settings().payment_window_seconds,
        extra=extra | ({"quoteId": quote_id} if quote_id else {}),
    )
