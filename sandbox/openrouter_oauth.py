"""The practice OpenRouter's OAuth PKCE: the page where a person agrees, and the exchange of the code for a key.

Nobody looks at this page: it agrees at once. `/practice/consent` says which limits the person sets the next time.
"""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from sandbox.openrouter_accounts import KEY_PREFIX, Practice
from sandbox.openrouter_chat import error_answer, json_answer
from sandbox.openrouter_faults import STATUS_WORDS

_CODE_LIVES = timedelta(minutes=10)
# BASE64URL of a SHA-256 hash (RFC 7636, 4.2).
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


_CALLBACK = "callback_url must be https, or http to localhost"


def _may_call_back(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname == "localhost")


class Consent(BaseModel):
    """What the person sets on the page, for the next key only."""

    model_config = ConfigDict(extra="forbid")

    limit: Decimal | None = Field(default=None, ge=0)
    limit_reset: Literal["daily", "weekly", "monthly"] | None = None
    expires_at: AwareDatetime | None = None
    management: bool = False


class AskedCode(BaseModel):
    """The body of `POST /auth/keys/code`."""

    callback_url: str
    code_challenge: str = Field(pattern=r"^[A-Za-z0-9_-]{43}$")
    code_challenge_method: Literal["S256"]
    limit: Decimal | None = Field(default=None, gt=0)
    usage_limit_type: Literal["daily", "weekly", "monthly"] | None = None
    expires_at: AwareDatetime | None = None
    key_label: str | None = Field(default=None, max_length=100)


class Exchange(BaseModel):
    """The body of `POST /auth/keys`."""

    code: str
    code_verifier: str = Field(min_length=43, max_length=128)
    code_challenge_method: Literal["S256", "plain"]


@dataclass
class _Code:
    challenge: str
    consent: Consent
    until: datetime = field(default_factory=lambda: datetime.now(UTC) + _CODE_LIVES)


class Codes:
    """The codes that are not exchanged yet, and what the next person sets."""

    def __init__(self) -> None:
        self.consent = Consent()
        self._codes: dict[str, _Code] = {}

    def agree(self, challenge: str) -> str:
        """Make a code for what the person sets."""
        consent, self.consent = self.consent, Consent()
        return self.make(challenge, consent)

    def make(self, challenge: str, consent: Consent) -> str:
        """Make a code that works once, for ten minutes."""
        code = f"auth_code_practice_{secrets.token_urlsafe(24)}"
        self._codes[code] = _Code(challenge, consent)
        return code

    def use(self, code: str, verifier: str) -> Consent | None:
        """Use up a code; None if it is unknown, too old, or of another verifier."""
        known = self._codes.pop(code, None)
        hashed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        is_right = known is not None and known.until > datetime.now(UTC) and known.challenge == hashed
        return known.consent if known and is_right else None


def page(codes: Codes) -> APIRouter:
    """The page at the root of the site, and what it may be told."""
    router = APIRouter()

    @router.get("/auth")
    async def auth(
        callback_url: str = "", code_challenge: str = "", code_challenge_method: str = "", key_label: str = ""
    ) -> Response:
        parts = urlsplit(callback_url)
        if not _may_call_back(callback_url):
            return error_answer(400, _CALLBACK)
        if code_challenge_method != "S256" or not _CHALLENGE.fullmatch(code_challenge):
            return error_answer(400, "Invalid code_challenge")
        query = [*parse_qsl(parts.query), ("code", codes.agree(code_challenge))]
        return RedirectResponse(urlunsplit(parts._replace(query=urlencode(query))), 302)

    @router.put("/practice/consent", status_code=204)
    async def consent(wish: Consent) -> None:
        codes.consent = wish

    return router


def exchange(practice: Practice, codes: Codes) -> APIRouter:
    """`POST /auth/keys`, which needs no authorization, and `/auth/keys/code`, which needs a key of the account."""
    router = APIRouter()

    @router.post("/auth/keys/code")
    async def code(request: Request) -> Response:
        if practice.bearer(request) is None:
            return error_answer(401, STATUS_WORDS[401])
        try:
            asked = AskedCode.model_validate_json(await request.body())
        except ValidationError:
            return error_answer(400, "Invalid request body")
        if not _may_call_back(asked.callback_url):
            return error_answer(400, _CALLBACK)
        if asked.expires_at and asked.expires_at <= datetime.now(UTC):
            return error_answer(400, "expires_at must be in the future")
        consent = Consent(limit=asked.limit, limit_reset=asked.usage_limit_type, expires_at=asked.expires_at)
        made = codes.make(asked.code_challenge, consent)
        return json_answer({"data": {"id": made, "app_id": 1, "created_at": datetime.now(UTC).isoformat()}})

    @router.post("/auth/keys")
    async def keys(request: Request) -> Response:
        try:
            asked = Exchange.model_validate_json(await request.body())
        except ValidationError:
            return error_answer(400, "Invalid request body")
        if asked.code_challenge_method != "S256":
            return error_answer(400, "Invalid code_challenge_method")
        consent = codes.use(asked.code, asked.code_verifier)
        if consent is None:
            return error_answer(403, "Invalid code or code_verifier")
        key = f"{KEY_PREFIX}{secrets.token_hex(16)}"
        account = practice.account(key)
        account.credits, account.limit_reset = consent.limit, consent.limit_reset
        account.expires_at, account.management = consent.expires_at, consent.management
        return json_answer({"key": key, "user_id": "user_practice"})

    return router
