"""All settings, read once and checked before anything starts; and the networks that buyers pay on."""

from core.settings import urls
from core.settings.fields import Mode, Settings
from core.settings.networks import (
    SANDBOX_ASSET,
    SANDBOX_ASSET_NAME,
    SANDBOX_NETWORK,
    TEST_NETWORKS,
    Network,
    member,
)
from core.settings.reading import load, settings
from core.settings.rules import warnings

__all__ = (
    "SANDBOX_ASSET",
    "SANDBOX_ASSET_NAME",
    "SANDBOX_NETWORK",
    "TEST_NETWORKS",
    "Mode",
    "Network",
    "Settings",
    "load",
    "member",
    "settings",
    "urls",
    "warnings",
)
