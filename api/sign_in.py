"""Let creators sign in with a wallet (EIP-4361), and out."""

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from api import documents
from api.authentication import Identity, is_https, refuse_other_sites, session_cookie, token_cookie
from api.bodies import read_json
from api.door import Door, LimitedDoor, client_of
from api.rate_limits import rate
from core import db
from core.accounts import accounts, authentication, sessions, sign_in, sign_up
from core.failures import InvalidInput
from core.settings import settings

router = APIRouter(tags=["creators"])

# A signature of a contract is checked by its chain, which is asked before anybody is known.
SIGN_IN_RATE = rate("20/minute")
SIGN_UP_RATE = rate("30/hour")
_BODY_LIMIT = 65_536
_NO_STORE = {"Cache-Control": "no-store"}


class ToSign(BaseModel):
    """What goes into the message that a wallet signs (EIP-4361)."""

    nonce: str
    domain: str
    uri: str
    chainIds: list[int] = Field(description="one of these is the message's Chain ID")
    expiresAt: str = Field(description="until when it can be signed (UTC)")
    message: str | None = Field(description="the whole message, if you named `address`; sign it with personal_sign")


class ForWhom(BaseModel):
    """Whose message is wanted whole."""

    address: str | None = Field(default=None, pattern="^0x[0-9a-fA-F]{40}$")
    chainId: int | None = Field(default=None, description="one of ours; default: the first")


class Signed(BaseModel):
    """A message and its signature."""

    message: str = Field(description="exactly as it was signed")
    signature: str = Field(description="hexadecimal, with 0x")


class SignedUp(Signed):
    """What a wallet that is new adds, where INSTANT_SIGNUP lets it open an account."""

    handle: str | None = Field(default=None, description="the name in your URLs, for ever; ignored if you have one")
    invite: str | None = Field(default=None, description="the operator's invitation, where one is needed")


class SignedIn(BaseModel):
    """You are signed in."""

    handle: str
    signedInAt: str
    endsAt: str = Field(description="when the session ends, however much you use it (UTC)")


def _body(model: type[BaseModel], *, required: bool = True) -> dict[str, object]:
    schema = model.model_json_schema()
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}


@router.post(
    "/sign-in/nonce",
    summary="Begin to sign in with a wallet",
    response_model=ToSign,
    responses=documents.problems(400, 413, 415, 429),
    openapi_extra=_body(ForWhom, required=False),
)
async def nonce(request: Request, door: LimitedDoor) -> Response:
    """A nonce is good for one sign-in within ten minutes."""
    body = await read_json(request, _BODY_LIMIT)
    fields = {} if body is None else body
    networks = settings().networks
    if not isinstance(fields, dict) or not {*fields} <= {"address", "chainId"}:
        raise InvalidInput({"body": "must be an object with address and chainId, or nothing"})
    address, chain_id = fields.get("address"), fields.get("chainId")
    network = next((one for one in networks if chain_id in (None, one.chain_id)), None)
    problems = {} if address is None else accounts.address_problem(address, "address")
    if network is None:
        problems["chainId"] = f"must be one of: {', '.join(str(one.chain_id) for one in networks)}"
    if network is None or problems:
        raise InvalidInput(problems)
    made = sign_in.make_nonce()
    document = {
        "nonce": made,
        "domain": sign_in.domain(),
        "uri": settings().public_url,
        "chainIds": [one.chain_id for one in networks],
        "expiresAt": datetime.now(UTC) + timedelta(seconds=sign_in.NONCE_SECONDS),
        "message": None if address is None else sign_in.message_for(address, network, made),
    }
    return JSONResponse(jsonable_encoder(document), headers=_NO_STORE)


@router.post(
    "/sign-in",
    summary="Sign in with a wallet",
    response_model=SignedIn,
    responses={
        200: {"headers": {"Set-Cookie": documents.header("the session")}},
        **documents.problems(400, 403, 413, 415, 429, 503),
    },
    openapi_extra=_body(SignedUp),
)
async def begin(request: Request, door: LimitedDoor) -> Response:
    """Sets the session's cookie. What changes something with it must come from a page of this door."""
    refuse_other_sites(request, needs_proof=False)
    await door.count_request(SIGN_IN_RATE, f"sign-in:{client_of(request)}")
    body = await read_json(request, _BODY_LIMIT)
    fields = body if isinstance(body, dict) else {}
    message, signature, handle, invite = (fields.get(name) for name in SignedUp.model_fields)
    if not (
        {*fields} <= {*SignedUp.model_fields}
        and isinstance(message, str)
        and isinstance(signature, str)
        and isinstance(handle, str | None)
        and isinstance(invite, str | None)
    ):
        raise InvalidInput({"body": "must be an object with message and signature, and perhaps handle and invite"})
    wallet = await sign_in.verify(door.clients.http, message, signature)
    async with door.pool.connection() as conn:
        account = await sessions.account_of(conn, wallet)
        if account is None and settings().signup != "closed":
            await door.count_request(SIGN_UP_RATE, f"sign-up:{client_of(request)}")
        if account is None:
            account = await sign_up.sign_up(conn, wallet, handle, invite)
        session = await sessions.begin(conn, account.id, wallet)
    document = {"handle": account.handle, "signedInAt": session.created_at, "endsAt": session.ends_at}
    response = JSONResponse(jsonable_encoder(document), headers=_NO_STORE)
    keep(response, session_cookie(), session.secret)
    forget(response, token_cookie())
    return response


@router.delete(
    "/session",
    summary="Sign out",
    status_code=204,
    response_class=Response,
    responses=documents.problems(401, 403, 429, 503),
)
async def end(door: LimitedDoor, identity: Identity) -> Response:
    """The session ends at once. A token is no session: it stays."""
    return await sign_out(door, identity, Response(status_code=204, headers=_NO_STORE))


async def sign_out(door: Door, identity: authentication.Identity, response: Response) -> Response:
    """End the session that a request came with, and have the browser forget it, and the token that it may keep."""
    if identity.session_id is not None:
        async with db.acting_for(door.pool, identity.account.id) as conn:
            await sessions.end(conn, identity.account.id, identity.session_id)
    forget(response, session_cookie())
    forget(response, token_cookie())
    return response


def keep(response: Response, name: str, secret: str) -> None:
    """Have the browser keep a secret for as long as a session lasts. No script reads it, and no other site sends it."""
    response.set_cookie(
        name,
        secret,
        max_age=settings().session_seconds,
        path="/",
        secure=is_https(),
        httponly=True,
        samesite="lax",
    )


def forget(response: Response, name: str) -> None:
    """Have the browser forget a secret."""
    response.delete_cookie(name, path="/", secure=is_https(), httponly=True, samesite="lax")
