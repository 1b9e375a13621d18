"""What can stand in a header of HTTP."""

import re

from pydantic import SecretStr

_HEADER_TEXT = re.compile("[!-~]+")


def checked_secret(secret: SecretStr | None) -> SecretStr | None:
    """Return a secret that is sent or read in a header.

    Raises:
        ValueError: it has another character than visible ASCII.
    """
    if secret and not _HEADER_TEXT.fullmatch(secret.get_secret_value()):
        raise ValueError("must have only visible ASCII characters, and no space or newline")
    return secret
