"""What our own secrets look like, for detect-secrets, which knows neither our keys nor secrets without quotes."""

import re

from detect_secrets.plugins.base import RegexBasedDetector

# Between a setting's name and its value: a shell's or .env's `=`, YAML's and JSON's `:`, with or without quotes.
_IS = r"""["']?\s*[:=]\s*["']?"""


class OurKeyDetector(RegexBasedDetector):
    """Keys of providers, tokens and passwords of doors, keys of wallets and of facilitators, and master keys.

    Where a pattern has a group, that is the secret. A random token has a digit, which the name of a variable lacks.
    """

    secret_type = "Key of this system"  # noqa: S105  # pragma: allowlist secret - a name, not a secret
    denylist = (
        re.compile(r"sk-or-v1-[0-9a-f]{32,}"),
        re.compile(r"sk-ant-[A-Za-z0-9_-]{32,}"),
        # a creator's bearer token
        re.compile(r"x4i_[A-Za-z0-9_-]{43}"),
        # INSTANT_MASTER_KEYS: id:base64 of 32 bytes
        re.compile(r"[A-Za-z0-9_-]+:[A-Za-z0-9+/]{43}="),
        # a CDP secret of Ed25519: base64 of 64 bytes
        re.compile(r"[A-Za-z0-9+/]{86}=="),
        # a key of a wallet; 32 bytes in hexadecimal may as well be a transaction, so the name decides
        re.compile(rf"(?i)(?:wallet|refund|private)_key{_IS}((?:0x)?[0-9a-f]{{64}})(?![0-9a-f])"),
        re.compile(rf"(?i)(?:operator|facilitator)_token{_IS}(?=[^\s\"']*[0-9])([\w.+/~=-]{{16,}})"),
        # user:password
        re.compile(rf"(?i)auth_string{_IS}([^\s:\"'{{}}$<>()]+:[^\s\"'{{}}$<>()]{{8,}})"),
    )
