"""Sign in to a door with a wallet (EIP-4361), or open an account there, and get a token."""

import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from cli.remote import door
from core.failures import InvalidInput
from core.secrets.private import Private

_SECONDS = 30
_SCOPES = ["read", "publish", "keys", "money"]


def token_by_wallet(url: str, wallet_file: Path | None, handle: str | None, invite: str | None) -> Private[str]:
    """Sign the door's message, and make a token with every scope, named after this machine.

    Args:
        url: the door.
        wallet_file: a file with the wallet's private key; None: INSTANT_WALLET_KEY has it.
        handle: the name of a new account; ignored if the wallet has one.
        invite: an invitation, where a new account needs one.

    Raises:
        Misconfigured: there is no key.
        InvalidInput: the door names fields.
        Refused: the door refuses otherwise, cannot be reached, or wants a signature for another place.
    """
    from cli import buy_wallet  # it loads what only payments and sign-ins need

    wallet = buy_wallet.open_wallet(wallet_file)
    try:
        with httpx.Client(base_url=url, timeout=_SECONDS) as http:
            asked = _checked(http.post("/sign-in/nonce", json={"address": wallet.address}))
            message = str(asked.get("message", ""))
            if not is_for(url, wallet.address, message):
                sentence = "it wants a signature that is for another place; nothing was signed"
            else:
                signed = {"message": message, "signature": buy_wallet.sign_text(wallet, message)}
                more = {name: text for name, text in (("handle", handle), ("invite", invite)) if text is not None}
                _checked(http.post("/sign-in", json=signed | more))
                wish = {"name": f"instant on {socket.gethostname()}"[:60], "scopes": _SCOPES}
                # As a page of the door says: nobody else has made this request.
                made = _checked(http.post("/me/tokens", json=wish, headers={"Sec-Fetch-Site": "same-origin"}))
                http.delete("/session", headers={"Sec-Fetch-Site": "same-origin"})
                return Private(str(made["token"]))
    except httpx.HTTPError:
        sentence = "it cannot be reached"
    raise door.Refused(sentence)


def _checked(answer: httpx.Response) -> dict[str, object]:
    if not answer.is_success:
        problem = door.refusal(answer)
        if isinstance(problem, InvalidInput) and "handle" in problem.fields:
            problem = InvalidInput(problem.fields | {"handle": f"{problem.fields['handle']}; write: --handle NAME"})
        raise problem
    body = answer.json()
    return body if isinstance(body, dict) else {}


def is_for(url: str, address: str, message: str) -> bool:
    """Tell whether a message signs in to this door with this wallet, and to nothing else."""
    parts = urlsplit(url)
    first, who, *rest = [*message.split("\n"), ""]
    uris = [line.removeprefix("URI: ") for line in rest if line.startswith("URI: ")]
    return (
        first == f"{parts.netloc} wants you to sign in with your Ethereum account:"
        and who.lower() == address.lower()
        and len(uris) == 1
        and urlsplit(uris[0])[:2] == parts[:2]
    )
