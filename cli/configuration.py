"""Write docs/configuration.md from the settings class: `make docs`. A test fails if the page is out of date."""

from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from core.settings import Settings

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"

_HEAD = """# Configuration

Set these as environment variables, or under the same names in `.instant/instant.env`. Durations are in seconds, and
sizes in bytes, unless a line says otherwise. `instant env` prints the variables that a deployment needs. `instant dev`
generates the mode, the master key and the tokens.

`make docs` generates this page from `core/settings/fields.py`.

| variable | default | meaning |
|---|---|---|
"""

_FOOT = """
## Networks

`INSTANT_NETWORKS` is a JSON list. Each member has an `id` (CAIP-2, such as `eip155:8453`), the `facilitator_url` that
verifies and settles, and the `rpc_url` of a node of that chain. USDC on Base and Base Sepolia is built in; for other
tokens give `asset`, `asset_name` and `asset_version`, as in the token's EIP-712 domain. If the facilitator needs
authentication, give `facilitator_token`, or `cdp_key_id` and `cdp_key_secret`. `confirmations` (12) is how many blocks
later a payment is [verified on the chain](operators.md#what-a-facilitator-is-trusted-with). Pages show a chain by its
`name`, link its transactions at `explorer_url`, and give `public_rpc_url` to wallets that do not know it; all three are
built in for Base and Base Sepolia. A mainnet and a test
network need two doors, because worthless money would buy the same answers.

## Providers

`INSTANT_PROVIDERS` is a JSON list of OpenAI-compatible servers ([examples](providers.md)). Each member has a `name`,
which the ids of its models begin with, and the base `url` that `/chat/completions` and `/models` are appended to. It
may have a `label` for people, a `key_pattern` (a regular expression) that its keys match as a whole, a `keys_url` where
creators get keys, and `max_tokens_field`: `max_tokens`, or `max_completion_tokens` for servers that refuse the former.

## What is refused

Every command reads all settings first. If one is wrong, missing or unknown it says so in a sentence, such as
`INSTANT_NETWORKS[0].facilitator_url must begin with https:// or http://`, and ends with exit code 2.

- A URL has a scheme and a host. A URL that paths are appended to (all but `rpc_url`) has no query.
- In live mode facilitators, nodes and providers on other hosts are reached over https, and `INSTANT_PUBLIC_URL` is
  required unless the door listens on loopback (127.0.0.0/8, ::1, localhost).
- In sandbox mode the door and the providers are on loopback.
- The identity provider's issuer, keys and audience are set together, and its keys are reached over https.
- No two providers have the same name, and `openrouter` and `anthropic` are built in.
- In `instant.env` every name that begins with `INSTANT_` is a setting. In the environment, where other programs have
  variables too, only a name that is nearly a setting is refused.
"""


def page() -> str:
    """Build the whole page as Markdown."""
    rows = (f"| `INSTANT_{name.upper()}` | {_default(field)} | {field.description} |" for name, field in _fields())
    return _HEAD + "\n".join(rows) + "\n" + _FOOT


def _fields() -> list[tuple[str, FieldInfo]]:
    # Those of other classes last.
    own = Settings.__annotations__
    return sorted(Settings.model_fields.items(), key=lambda field: field[0] not in own)


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    return f"`{field.default}`" if field.default not in (None, "", ()) else "none"


if __name__ == "__main__":
    PAGE.write_text(page())
