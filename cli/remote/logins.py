"""Keep the login of this user: the URL of a door, and a bearer token for it, in a file that only the user reads."""

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from core.failures import InvalidInput, Misconfigured
from core.secrets.private import Private


@dataclass(frozen=True, slots=True)
class Login:
    """A door, and what opens it.

    Attributes:
        url: scheme, host and perhaps a path, without a slash at its end.
        token: the bearer token.
        handle: whose account it opens; None if nobody has asked yet.
    """

    url: str
    token: Private[str]
    handle: str | None = None


def file() -> Path:
    """Return where the login is kept: below XDG_CONFIG_HOME, or where this system keeps settings of users."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(base):  # others are ignored (XDG Base Directory Specification)
        return Path(base) / "instant" / "login.json"
    from platformdirs import user_config_path

    return user_config_path("instant", appauthor=False) / "login.json"


def read() -> Login | None:
    """Read the login; None if there is none.

    Raises:
        Misconfigured: the file is not one of ours.
    """
    try:
        kept = json.loads(file().read_bytes())
        return Login(door_url(kept["url"], "url"), Private(str(kept["token"])), str(kept["handle"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, InvalidInput):
        pass
    raise Misconfigured(f"{file()} is no login; end it with: instant logout")


def write(login: Login) -> None:
    """Keep a login instead of the one before: whole or not at all, and for its owner alone.

    Raises:
        Misconfigured: the folder cannot be written.
    """
    try:
        _write(file(), {"url": login.url, "token": login.token.reveal(), "handle": login.handle})
    except OSError as error:
        problem = error.strerror
    else:
        return
    raise Misconfigured(f"{file().parent} cannot be written ({problem})")


def _write(path: Path, content: dict[str, object]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix="login.")  # mode 600
    try:
        with os.fdopen(descriptor, "w") as opened:
            json.dump(content, opened)
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(draft, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(draft)
        raise


def forget() -> None:
    """Delete the login, if there is one."""
    file().unlink(missing_ok=True)


def door_url(text: str, field: str) -> str:
    """Return the URL of a door in one spelling.

    Raises:
        InvalidInput: under the name of its field: it is no URL, or would send the token readably over a network.
    """
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or "@" in parts.netloc:
        raise InvalidInput({field: "must be the URL of a door, such as https://prompts.example.com"})
    if parts.scheme == "http" and not _is_loopback(host):
        raise InvalidInput({field: "must begin with https://, because others could read the token on the way"})
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
