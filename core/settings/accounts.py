"""The settings of creators' accounts: who may open one, sessions, payouts, and an outside identity provider."""

from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from core.settings import urls

Signup = Literal["closed", "invite", "open"]


class AccountSettings(BaseSettings):
    """Of the identity provider's first three settings, all are given or none."""

    signup: Signup = Field(
        default="closed", description="who may open an account: nobody, whoever was sent an invitation, or anybody"
    )
    session_seconds: int = Field(default=2_592_000, ge=900, description="most time that a creator stays signed in")
    payout_delay_seconds: int = Field(default=86_400, ge=0, description="time until a new payout address is in force")

    identity_issuer: str = Field(default="", description="the identity provider's name: `iss` of its JWTs, exactly")
    identity_jwks_url: str = Field(default="", description="where its keys are: https://… of its JWK Set (RFC 7517)")
    identity_audience: str = Field(default="", description="`aud` of the JWTs that are for this door")
    identity_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(), description="JSON list: internal networks where its keys may be; else only the public internet"
    )

    @field_validator("identity_jwks_url")
    @classmethod
    def _is_url(cls, url: str) -> str:
        return url and urls.checked(url)
