"""Write calls of a product that run as they are copied: curl, Python, TypeScript, OpenAI's client, MCP.

Each tab is a template in `templates/calls`; another door to the same product is another row.
"""

import json
import pprint
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from api.openai import chat, models
from api.pages.rendering import text
from core.payments import offers
from core.resources import product
from core.settings import SANDBOX_NETWORK, settings

_FAUCET_ATOMIC: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Call:
    """One way to call a product.

    Attributes:
        name: of the language or program.
        before: what to do first, in words; it may be empty.
        code: to copy.
    """

    name: str
    before: str
    code: str


_KINDS = (
    ("curl", "curl.txt", "Shows the price and checks the inputs. It pays nothing: paying takes a wallet that signs."),
    ("Python", "python.txt", ""),
    ("TypeScript", "typescript.txt", ""),
    ("OpenAI", "openai.txt", "Any client of OpenAI's works so, over x402's own HTTP client."),
    (
        "MCP",
        "mcp.txt",
        "For a desktop program, which gets a tool for each prompt of this creator, paid by `instant mcp`."
        " A program with a wallet of its own connects to the address itself.",
    ),
)


def calls(version: product.Product) -> list[Call]:
    """Write the calls of a product, with the inputs of its example, or made-up ones."""
    config, inputs = settings(), _in_order(version, product.sample_inputs(version))
    network = config.networks[0]
    body = json.dumps(inputs, ensure_ascii=False)
    message, named = _as_message(version, inputs)
    values = {
        "url": offers.url_of(version),
        "shell_url": shlex.quote(offers.url_of(version)),
        "shell_body": shlex.quote(body),
        "json_inputs": json.dumps(inputs, ensure_ascii=False, indent=2),
        "python_inputs": pprint.pformat(inputs, width=80, sort_dicts=False),
        "python_messages": pprint.pformat([{"role": "user", "content": message}] if message else []),
        "python_named": pprint.pformat(named, width=80, sort_dicts=False),
        "named": bool(named),
        "base_url": json.dumps(f"{config.public_url}/v1"),
        "model": json.dumps(models.name_of(version)),
        "creator": version.handle,
        "answer_field": "images" if version.modality == "image" else "response",
        "json_mcp_url": json.dumps(offers.mcp_url_of(version)),
        "json_url": json.dumps(offers.url_of(version)),
        "practice": network.id == SANDBOX_NETWORK,
        "faucet": f"{network.facilitator_url}/practice/faucet",
        "faucet_atomic": _FAUCET_ATOMIC,
        "network": network.id,
        "asset": network.asset,
    }
    return [Call(name, before, text(f"calls/{template}", **values)) for name, template, before in _KINDS]


def _in_order(version: product.Product, inputs: Mapping[str, object]) -> dict[str, object]:
    """Put inputs in the order of the form; the database keeps none."""
    names = [parameter.name for parameter in version.parameters if parameter.name in inputs]
    return {name: inputs[name] for name in [*names, *(name for name in inputs if name not in names)]}


def _as_message(version: product.Product, inputs: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    """Split inputs into the user's message and those that are sent by name."""
    for name, value in inputs.items():
        others = {other: inputs[other] for other in inputs if other != name}
        if isinstance(value, str) and chat.place_of_text(version, others) == name:
            return value, others
    return "", dict(inputs)
