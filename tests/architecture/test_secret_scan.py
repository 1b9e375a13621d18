"""The scan for secrets knows what ours look like, as they stand in shells, .env files, YAML and JSON."""

import base64
import re
import secrets
import shlex
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
(SCAN,) = (hook["entry"] for repository in CONFIG["repos"] for hook in repository["hooks"] if hook["id"] == "secrets")


def b64(size: int) -> str:
    """Random bytes, so that nothing in this file looks like a secret."""
    return base64.b64encode(secrets.token_bytes(size)).decode()


def token() -> str:
    """A token as `instant dev` makes them."""
    return "a1" + secrets.token_urlsafe(24)


def found(folder: Path, lines: list[str]) -> set[str]:
    """The lines in which the scan finds something."""
    file = folder / "config"
    file.write_text("\n".join(lines))
    scanned = subprocess.run(
        [*shlex.split(SCAN), str(file)], cwd=ROOT, text=True, capture_output=True, timeout=120, check=False
    )
    return {lines[int(number) - 1] for number in re.findall(rf"{re.escape(str(file))}:(\d+)", scanned.stdout)}


def test_our_secrets_are_found(tmp_path: Path) -> None:
    """Each form is found by itself, without quotes and with. All are different, because one is reported once."""
    lines = [
        f"INSTANT_WALLET_KEY=0x{secrets.token_hex(32)}",
        f"export INSTANT_WALLET_KEY={secrets.token_hex(32)}",
        f"INSTANT_REFUND_KEY={secrets.token_hex(32)}",
        f"INSTANT_OPERATOR_TOKEN={token()}",
        f"operator_token: {token()}",
        f"INSTANT_PREFECT_AUTH_STRING=instant:{token()}",
        f"PREFECT_API_AUTH_STRING: instant:{token()}",
        f'INSTANT_NETWORKS=[{{"id":"eip155:8453","facilitator_token":"{token()}"}}]',
        f"facilitator_token: {token()}",
        f"cdp_key_secret: {b64(64)}",
        f"secret {b64(64)}",
        f"INSTANT_MASTER_KEYS=2026a:{b64(32)}",
        f"INSTANT_MASTER_KEYS=2026b:{b64(32)},2026a:{b64(32)}",
        f'master_keys: "first:{b64(32)}"',
        f"the key is x4i_{secrets.token_urlsafe(32)}",
        f"sk-or-v1-{secrets.token_hex(32)}",
    ]

    assert set(lines) - found(tmp_path, lines) == set()


def test_what_is_no_secret(tmp_path: Path) -> None:
    """Transactions, placeholders, names of variables and practice secrets are not found."""
    lines = [
        f"transaction: 0x{secrets.token_hex(32)}",
        "INSTANT_OPERATOR_TOKEN=...",
        "operator_token = config.operator_token.get_secret_value()",
        "facilitator_token=settings.facilitator_token",
        'lines = [f"INSTANT_PREFECT_AUTH_STRING=instant:{password}"]',
        "INSTANT_PREFECT_AUTH_STRING=$USER:$PASSWORD",
        "INSTANT_OPERATOR_TOKEN=practice-operator-token-1",
        f"INSTANT_MASTER_KEYS=practice:{b64(32)}",
    ]

    assert found(tmp_path, lines) == set()
