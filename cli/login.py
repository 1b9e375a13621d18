"""`instant login`, `logout`, `whoami`: which door this user's commands run at, and as whom."""

import sys
from getpass import getpass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cli import output
from cli.remote import door, logins
from cli.remote.logins import Login
from cli.shared import Flag, Json
from core.failures import InvalidInput
from core.secrets.private import Private

_LONGEST = 10_000


def login(
    url: str,
    /,
    *,
    token_file: Annotated[
        str | None,
        Parameter(allow_leading_hyphen=True, help="Read the token from this file; `-` is standard input."),
    ] = None,
    wallet: Flag = False,
    wallet_file: Path | None = None,
    handle: str | None = None,
    invite: str | None = None,
    json: Json = False,
) -> None:
    """Let `instant resources`, `keys`, `usage` and others run at a door, from any folder of this user.

    The token is asked for without showing it, or made by a sign-in with your wallet. It is checked at the door, and
    kept in the user's config folder.

    Args:
        url: the door, such as https://prompts.example.com.
        wallet: sign in with the wallet whose private key is in INSTANT_WALLET_KEY.
        wallet_file: sign in with the wallet whose private key is in this file, readable only by you.
        handle: open an account with this name, if the wallet has none and the door lets it.
        invite: the operator's invitation, where a new account needs one.
        json: print JSON.
    """
    where = logins.door_url(url, "url")
    try:
        if wallet or wallet_file:
            from cli.remote import sign_in  # only wallets need it

            token = sign_in.token_by_wallet(where, wallet_file, handle, invite)
        else:
            token = _token(token_file)
        opened = Login(where, token)
        own = str(door.account(opened)["handle"])
    except door.Refused as refused:
        sentence = f"{where}: {refused}"
    else:
        logins.write(Login(where, opened.token, own))
        if json:
            output.document({"url": where, "handle": own, "file": logins.file()})
        else:
            output.line(f"You are {own} at {where}. The token is in {logins.file()}.")
        return
    raise door.Refused(sentence)


def logout(*, json: Json = False) -> None:
    """Forget the token on this machine. It still works: end it with `instant creators revoke`."""
    is_known = logins.file().exists()
    logins.forget()
    if json:
        output.document({"logged_out": is_known})
    else:
        output.line("The token is forgotten here." if is_known else "There was no login.")


@door.anywhere
def whoami(*, json: Json = False) -> None:
    """Say where commands run that are about a creator, and as whom: at a door, or on the database of this machine."""
    here = door.chosen()
    if here is None:
        known = logins.read()
        facts: dict[str, object] = {"at": "here", "login": known and known.url}
        sentence = "Commands use the database of this machine, for any creator."
        if known:
            sentence += f" Your login at {known.url} is used with: --at {known.url}"
    else:
        handle = door.account(here)["handle"]
        facts = {"at": here.url, "handle": handle}
        sentence = f"You are {handle} at {here.url}."
    if json:
        output.document(facts)
    else:
        output.line(sentence)


def _token(file: str | None) -> Private[str]:
    """Read a token, from a terminal without an echo.

    Raises:
        InvalidInput: names `token` or `token_file`.
    """
    if file is not None and file != "-":
        try:
            with open(file, encoding="utf-8") as opened:
                text = opened.read(_LONGEST)
        except (OSError, UnicodeDecodeError):
            text = None
        if text is None:
            raise InvalidInput({"token_file": "cannot be read"})
    elif file is None and sys.stdin.isatty():
        text = getpass("Token: ")
    else:
        text = sys.stdin.readline(_LONGEST)
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidInput(
            {"token": "must be a bearer token, as `POST /me/tokens` or `instant creators token` gave it"}
        )
    return Private(token)
