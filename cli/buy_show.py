"""Print an offer for people, or as the seller's own document. Its texts are the seller's."""

from collections.abc import Mapping
from typing import Any

from cli import buy_wallet, output
from cli.buy_delivery import Reply


def show(reply: Reply, json: bool) -> None:
    """Print what a reply of 402 offers.

    Raises:
        NotBought: it is no offer of x402 v2.
    """
    required = buy_wallet.read_offer(reply.headers.get("PAYMENT-REQUIRED"))
    if json:
        output.document(reply.body)
        return
    product, inputs = _object(reply.body, "product"), _object(reply.body, "inputs")
    output.line(str(product.get("title") or (required.resource and required.resource.url)))
    for entry in required.accepts:
        output.line(f"{buy_wallet.price(entry):f} USDC on {entry.network} to {entry.pay_to}")
    if description := product.get("description"):
        output.line(str(description))
    needed = inputs.get("required")
    for name, schema in _object(inputs, "properties").items():
        told = schema if isinstance(schema, Mapping) else {}
        form = " ".join(str(told[key]) for key in ("type", "format") if key in told)
        is_needed = isinstance(needed, list) and name in needed
        words = [form, "" if is_needed else "optional", str(told.get("description") or "")]
        output.line(f"  -p {name}=…  {', '.join(word for word in words if word)}")
    rules = reply.body.get("rules")
    for rule in rules if isinstance(rules, list) else []:
        output.line(f"- {rule}")


def _object(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, Mapping) else {}
