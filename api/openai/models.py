"""List what is for sale as OpenAI lists models."""

from core.amounts import usdc
from core.payments import offers
from core.resources import product
from core.resources.listing import Listed

LISTED = 1_000
"""Most products of one list; it has no pages. `GET /resources` has them all."""


def name_of(row: product.Product) -> str:
    """Return the name that a completion asks for it by."""
    return f"@{row.handle}/{row.slug}"


def entry(row: Listed) -> dict[str, object]:
    """Describe one product: OpenAI's members, then ours."""
    return {
        "id": name_of(row),
        "object": "model",
        "created": int(row.offered_at.timestamp()) if row.offered_at else 0,
        "owned_by": row.handle,
        "name": row.title,
        "description": row.description,
        "kind": row.modality,
        "priceUsdc": usdc(row.price_atomic),
        "networks": [network for network, _ in row.payouts],
        "tags": list(row.tags),
        "url": offers.url_of(row),
    }


def whole_entry(row: Listed) -> dict[str, object]:
    """Describe one product with the schemas of what it takes and gives."""
    return entry(row) | {"inputs": product.inputs_schema(row), "answer": product.answer_schema(row)}
