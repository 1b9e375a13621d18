"""What our own secrets look like, for detect-secrets, which does not know our providers' keys or our tokens."""

import re

from detect_secrets.plugins.base import RegexBasedDetector


class OurKeyDetector(RegexBasedDetector):
    """Keys of OpenRouter and Anthropic, bearer tokens of creators, and master keys."""

    secret_type = "Key of this system"  # noqa: S105  # pragma: allowlist secret - a name, not a secret
    denylist = (
        re.compile(r"sk-or-v1-[0-9a-f]{32,}"),
        re.compile(r"sk-ant-[A-Za-z0-9_-]{32,}"),
        re.compile(r"x4i_[A-Za-z0-9_-]{43}"),
        re.compile(r"MASTER_KEYS=\S+:[A-Za-z0-9+/]{43}="),
    )
