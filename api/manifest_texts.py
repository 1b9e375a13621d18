"""Write what manifests say, from what is listed. Creators' words are theirs: they are quoted, and never followed."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from api import shop_openapi
from core.amounts import usdc
from core.payments import bazaar, offers
from core.resources import product
from core.resources.listing import Listed
from core.settings import settings

_MOST_SKILLS = 50
CATALOG_PATH = "/.well-known/api-catalog"
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#|~])")
# What belongs to somebody, or is for operators.
_PRIVATE = ("/me", "/executions/", "/estimate", "/health/", "/metrics", "/media/")

GUIDANCE: Final = shop_openapi.GUIDANCE
ICON: Final = Path(__file__).with_name("favicon.ico").read_bytes()


def discovered(row: Listed) -> dict[str, object]:
    """Describe a prompt as a facilitator's list does (x402 v2, section 8)."""
    networks = {network.id: network for network in settings().networks}
    accepts = [
        offers.requirements_of(networks[network], address, row.price_atomic).model_dump(by_alias=True)
        for network, address in row.payouts
    ]
    resource = bazaar.described(offers.resource_of(row), row).model_dump(by_alias=True, exclude_none=True)
    return {
        "resource": resource.pop("url"),
        "type": "http",
        "x402Version": 2,
        "accepts": accepts,
        "lastUpdated": row.offered_at and row.offered_at.isoformat(),
        "description": resource.pop("description"),
        "mimeType": resource.pop("mimeType"),
        "metadata": resource
        | {
            "method": "POST",
            "input": product.inputs_schema(row),
            "output": product.result_schema(row, ""),
            "openapi": f"{offers.url_of(row)}{bazaar.OPENAPI_PATH}",
        },
    }


def agent_card(rows: Sequence[Listed]) -> dict[str, object]:
    """Build an A2A agent card (1.0) whose one interface is x402 over HTTP."""
    config = settings()
    card: dict[str, object] = {
        "name": config.service_name,
        "description": "Sells prompts by the call: each skill is a paid HTTP resource (x402), not an A2A task.",
        "version": "1",
        "supportedInterfaces": [
            {"url": config.public_url, "protocolBinding": "https://www.x402.org", "protocolVersion": "2"}
        ],
        "provider": {"organization": config.service_name, "url": config.public_url},
        "documentationUrl": f"{config.public_url}/llms.txt",
        "capabilities": {"streaming": False, "pushNotifications": False},
        "defaultInputModes": ["application/json"],
        "defaultOutputModes": ["application/json"],
        "skills": [
            {
                "id": f"@{row.handle}/{row.slug}",
                "name": row.title,
                "description": f"{row.description or row.title} ({usdc(row.price_atomic)} USDC a call)",
                "tags": list(row.tags) or [row.modality],
            }
            for row in rows[:_MOST_SKILLS]
        ],
    }
    return card | ({"iconUrl": config.service_icon} if config.service_icon else {})


def api_catalog() -> dict[str, object]:
    """Build a catalog of APIs (RFC 9727, 4.1): of each its address, its description, and words about it."""
    base = settings().public_url

    def link(path: str, media_type: str) -> list[dict[str, str]]:
        return [{"href": f"{base}{path}", "type": media_type}]

    guide = link("/llms.txt", "text/markdown")
    apis: dict[str, dict[str, object]] = {
        "/": {"service-desc": link("/openapi.json", "application/json"), "service-doc": guide},
        "/resources": {
            "service-desc": link("/docs/openapi.json", "application/json"),
            "service-doc": link("/docs", "text/html"),
        },
        "/v1": {"service-desc": link("/docs/openapi.json", "application/json"), "service-doc": guide},
        "/mcp": {"service-doc": guide},
    }
    items = [{"href": f"{base}{path}"} for path in apis]
    links = [{"anchor": f"{base}{path}"} | told for path, told in apis.items()]
    return {"linkset": [{"anchor": f"{base}{CATALOG_PATH}", "item": items}, *links]}


def llms(rows: Sequence[Listed]) -> str:
    """Write llms.txt."""
    base = settings().public_url
    lines = [
        f"# {_plain(settings().service_name)}",
        "",
        "> Prompts that answer by the call, paid with x402 (USDC), without an account.",
        "",
        GUIDANCE,
        "",
        "## Prompts",
        "",
        *(
            f"- [{_plain(row.title)}]({offers.url_of(row)}): {usdc(row.price_atomic)} USDC a call."
            + (f" {_plain(row.description)}" if row.description else "")
            for row in rows
        ),
        "",
        "## More",
        "",
        f"- [Everything that is for sale]({base}/openapi.json): OpenAPI, with schemas and prices",
        f"- [Search]({base}/resources): JSON, page by page",
        f"- [For clients of OpenAI]({base}/v1/models): the same as models, bought by chat completions",
        f"- MCP: tools of the whole shop at {base}/mcp, one tool for each prompt at {base}/@creator/mcp",
        f"- [The routes that cost nothing]({base}/docs/openapi.json): OpenAPI",
        f"- [Models]({base}/models): what prompts run on",
    ]
    return "\n".join(lines) + "\n"


def robots() -> str:
    """Write robots.txt (RFC 9309)."""
    private = "".join(f"Disallow: {path}\n" for path in _PRIVATE)
    return f"User-agent: *\n{private}\nSitemap: {settings().public_url}/sitemap.xml\n"


def _plain(text: str) -> str:
    """Write somebody's words as one line that Markdown shows and does not read."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
