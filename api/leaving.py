"""Let creators take everything with them, and close their account."""

import json
from collections.abc import AsyncIterator
from uuid import UUID

from fastapi import APIRouter
from fastapi.encoders import jsonable_encoder
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field

from api import documents, records, resource_records
from api.account import Me, account_document
from api.authentication import Identity, Owner, session_cookie
from api.creators import caps_document
from api.door import Door, LimitedDoor
from api.history import execution_document
from api.identities import LinkedIdentity, identity_document
from api.payouts import Payout, payout_documents
from api.rate_limits import rate
from api.refund_records import RefundWallet
from api.refund_wallets import wallet_document
from api.sign_in import forget
from api.tokens import Token, token_document
from api.webhook_records import Webhook
from api.webhooks import webhook_document
from core import db
from core.accounts import identities, payouts, provider_keys, tokens
from core.executions import views as execution_views
from core.notices import addresses as notice_addresses
from core.notices import webhooks
from core.payments import refund_wallets
from core.providers import registry as providers
from core.resources import closing, export
from core.resources import versions as resource_versions

router = APIRouter(prefix="/me", tags=["creators"])

# An export reads everything.
_EXPORT_RATE = rate("10/hour")
_PAGE = 500


class Exported(BaseModel):
    """Everything of yours. Inputs and answers belong to your buyers, and keys are shown to nobody."""

    account: Me
    payouts: list[Payout]
    tokens: list[Token]
    identities: list[LinkedIdentity]
    keys: dict[str, str] = Field(description="the masked form of your key at each provider")
    noticeAddresses: list[str] = Field(description="their names; the URLs are not shown again")
    caps: dict[str, resource_records.ResourceCaps] = Field(description="what you let each prompt cost, by slug")
    webhooks: list[Webhook]
    refundWallet: RefundWallet | None = Field(description="what pays your refunds by itself; null if nothing does")
    versions: list[dict[str, object]] = Field(description="every version of every prompt, with its template")
    executions: list[records.Execution] = Field(description="every call, the newest first")


@router.get(
    "/export",
    summary="Everything of yours",
    response_model=Exported,
    responses=documents.problems(401, 403, 429, 503),
)
async def everything(door: LimitedDoor, owner: Owner) -> Response:
    """One JSON document, templates included. Needs every scope."""
    account_id = owner.account.id
    await door.count_request(_EXPORT_RATE, f"export:{account_id}")
    async with db.acting_for(door.pool, account_id) as conn:
        states = {name: await provider_keys.key_state(conn, account_id, at) for name, at in _providers().items()}
        caps = await resource_versions.caps(conn, account_id)
        wallet = await refund_wallets.state(conn, account_id)
        document = {
            "account": await account_document(conn, account_id),
            "payouts": payout_documents(await payouts.listing(conn, account_id)),
            "tokens": [token_document(row) for row in await tokens.listing(conn, account_id)],
            "identities": [identity_document(row) for row in await identities.listing(conn, account_id)],
            "keys": {name: state.label for name, state in states.items() if state},
            "noticeAddresses": [row.name for row in await notice_addresses.listing(conn, account_id)],
            "caps": {slug: caps_document(row) for slug, row in caps.items()},
            "webhooks": [webhook_document(row) for row in await webhooks.listing(conn, account_id)],
            "refundWallet": wallet_document(wallet) if wallet else None,
            "versions": await export.versions(conn, account_id),
        }
    start = json.dumps(jsonable_encoder(document), ensure_ascii=False).removesuffix("}")
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{owner.account.handle}.json"',
    }
    return StreamingResponse(_with_executions(door, account_id, start), media_type="application/json", headers=headers)


@router.delete(
    "",
    summary="Close your account",
    status_code=204,
    response_class=Response,
    responses=documents.problems(401, 403, 409, 429, 503),
)
async def close(door: LimitedDoor, identity: Identity) -> Response:
    """Takes a sign-in of the last five minutes, and no call that runs or is owed. Nobody can undo it.

    Your prompts are archived; your keys, templates, wallets, tokens and sessions are gone. What was sold stays for the
    books, and your handle is given to nobody else.
    """
    identity.require_fresh()
    async with db.acting_for(door.pool, identity.account.id) as conn:
        await closing.close(conn, identity.account.id)
    response = Response(status_code=204, headers={"Cache-Control": "no-store"})
    forget(response, session_cookie())
    return response


def _providers() -> dict[str, providers.Provider]:
    return {name: providers.find(name) for name in providers.configured()}


async def _with_executions(door: Door, account_id: UUID, start: str) -> AsyncIterator[str]:
    """Continue the document page by page, so that a long history is never in memory as a whole."""
    yield start + ', "executions": ['
    after: UUID | None = None
    while True:
        async with db.acting_for(door.pool, account_id) as conn:
            page = await execution_views.history(conn, account_id, state=None, slug=None, after=after, most=_PAGE)
        rows = [json.dumps(jsonable_encoder(execution_document(row))) for row in page]
        yield (", " if after and rows else "") + ", ".join(rows)
        if len(page) < _PAGE:
            break
        after = page[-1].id
    yield "]}"
