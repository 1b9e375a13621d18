"""Read the settings once, and turn every error into a sentence that names the setting and never its value."""

import difflib
import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from core.failures import Misconfigured
from core.settings.fields import Settings
from core.settings.networks import Network
from core.settings.prefect import PREFIX, PrefectSettings
from core.settings.providers import CompatibleProvider

S = TypeVar("S", bound=PrefectSettings)

# How alike two names are if one is the other misspelt. Other programs have INSTANT_ variables too, as our tests do.
_MISSPELT = 0.85

# What to write, by pydantic's type of error; its own words are for programmers.
_PHRASES = {
    "missing": "is required",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "too_short": "must have {min_length} or more characters",
    "string_too_short": "must have {min_length} or more characters",
    "tuple_type": "must be a JSON list",
    "model_type": "must be a JSON object",
    "ip_v4_network": "must be an IP network such as 10.0.0.0/8",
    "ip_v6_network": "must be an IP network such as 10.0.0.0/8",
    "value_error": "{error}",
}
_FORMS = {
    "id": "must be a CAIP-2 name such as eip155:8453",
    "asset": "must be 0x and 40 hex digits",
    "name": "must be a name such as groq: a letter, then letters, digits and hyphens, all in lower case, at most 32",
}
_MEMBERS = {"networks": Network.model_fields, "providers": CompatibleProvider.model_fields}


def load() -> Settings:
    """Read the settings now.

    Raises:
        Misconfigured: one sentence for each wrong, missing or unknown setting, which never shows a value.
    """
    return _load(Settings)


def load_prefect() -> PrefectSettings:
    """Read the settings of Prefect's server now, wherever no door could run for want of keys.

    Raises:
        Misconfigured: as `load`.
    """
    return _load(PrefectSettings)


def _load(kind: type[S]) -> S:
    state_dir = Path(os.environ.get(f"{PREFIX}STATE_DIR") or ".instant")
    secrets_dir = os.environ.get(f"{PREFIX}SECRETS_DIR")
    sentences = list(_misspelt(os.environ))
    try:
        _check_folder(state_dir)
        if secrets_dir:
            sentences += _wrong_secrets(Path(secrets_dir))
        config = kind(_env_file=state_dir / "instant.env", _secrets_dir=None if sentences else secrets_dir)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        # A network that is neither of IPv4 nor of IPv6 has an error for each.
        sentences += dict.fromkeys(_sentence(problem) for problem in problems)
    except UnicodeDecodeError:
        sentences.append("instant.env in INSTANT_STATE_DIR must be text in UTF-8")
    except OSError:
        sentences.append("INSTANT_STATE_DIR must be a folder that can be entered, and its instant.env a file to read")
    if sentences:
        raise Misconfigured("; ".join(sentences))
    return config


@cache
def settings() -> Settings:
    """Return the settings of this process, read once."""
    return load()


def _check_folder(state_dir: Path) -> None:
    """Check that the state folder is one, or can be made, and that its `instant.env` can be read if it exists.

    Raises:
        OSError: it is not, or cannot.
    """
    nearest = next(folder for folder in (state_dir.absolute(), *state_dir.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        raise NotADirectoryError
    file = state_dir / "instant.env"
    if file.exists():
        file.open().close()


def _sentence(problem: ErrorDetails) -> str:
    """Turn an error of pydantic into a sentence."""
    location, kind = problem["loc"], problem["type"]
    if not location:
        return str(problem["ctx"]["error"])
    name = _name(location)
    if kind == "extra_forbidden":
        return _unknown(name, location)
    if kind == "string_pattern_mismatch":
        return f"{name} {_FORMS[str(location[-1])]}"
    phrase = _PHRASES.get(kind)
    if phrase is None:
        return f"{name}: {problem['msg']}"
    return f"{name} {phrase.format(**problem.get('ctx', {}))}"


def _name(location: tuple[int | str, ...]) -> str:
    """Name a setting or a member of one, such as `INSTANT_NETWORKS[0].facilitator_url`."""
    first, *rest = location
    name = f"{PREFIX}{first}".upper()
    for part in rest:
        # What else pydantic puts there names a branch of a union.
        if isinstance(part, int):
            name += f"[{part}]"
        elif part.isidentifier():
            name += f".{part}"
    return name


def _unknown(name: str, location: tuple[int | str, ...]) -> str:
    """Name an unknown setting, or an unknown member of one, and what it may have been meant to be."""
    *parents, last = location
    known = _MEMBERS[str(parents[0])] if parents else Settings.model_fields
    close = difflib.get_close_matches(str(last).lower(), known, n=1)
    meant = "".join(close) if parents else "".join(f"{PREFIX}{match.upper()}" for match in close)
    return f"{name} is unknown; did you mean {meant}?" if close else f"{name} is unknown; remove it"


def _wrong_secrets(folder: Path) -> Iterator[str]:
    """Find what is wrong with the folder of secrets: pydantic only warns if it is missing, and skips unknown names."""
    if not folder.is_dir():
        yield "INSTANT_SECRETS_DIR must be a folder"
        return
    yield from _misspelt(name.upper() for name in os.listdir(folder))
    for file in folder.iterdir():
        if file.name.upper().startswith(PREFIX) and not os.access(file, os.R_OK):
            yield f"INSTANT_SECRETS_DIR: this process may not read {file.name}"


def _misspelt(variables: Iterable[str]) -> Iterator[str]:
    """Find variables, or files of secrets, that are nearly a setting. pydantic reads only those that it knows."""
    for variable in sorted(variables):
        name = variable.removeprefix(PREFIX).lower()
        is_unknown = variable.startswith(PREFIX) and name not in Settings.model_fields
        if is_unknown and difflib.get_close_matches(name, Settings.model_fields, n=1, cutoff=_MISSPELT):
            yield _unknown(variable, (name,))
