"""All settings, read once and checked before anything starts; the networks that buyers pay on, and the providers."""

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
from core.settings.prefect import PrefectSettings
from core.settings.providers import BUILT_IN, CompatibleProvider
from core.settings.reading import load, load_prefect, settings
from core.settings.rules import warnings

__all__ = (
    "BUILT_IN",
    "SANDBOX_ASSET",
    "SANDBOX_ASSET_NAME",
    "SANDBOX_NETWORK",
    "TEST_NETWORKS",
    "CompatibleProvider",
    "Mode",
    "Network",
    "PrefectSettings",
    "Settings",
    "load",
    "load_prefect",
    "member",
    "settings",
    "urls",
    "warnings",
)
