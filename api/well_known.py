"""Serve the public keys of receipts: as a key set (RFC 7517), and as the document of this door's DID (did:web)."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from api import documents
from api.door import Door, LimitedDoor
from core import db
from core.payments import receipts
from core.secrets import signing
from core.settings import settings

router = APIRouter(tags=["buyers"])

_KEYS = "/.well-known/jwks.json"
# A verifier that meets an unknown key asks again.
_CACHED = {"Cache-Control": "public, max-age=300"}
_ANSWERS = documents.problems(429, 503)


def keys_url() -> str:
    """Return where the public keys are published."""
    return settings().public_url + _KEYS


@router.get(_KEYS, summary="The public keys of receipts (JWKS)", response_model=dict[str, object], responses=_ANSWERS)
async def key_set(door: LimitedDoor) -> JSONResponse:
    """Every key that ever signed a receipt here, newest first."""
    keys = [
        signing.jwk(key) | {"kid": f"{receipts.did()}#{name}", "alg": signing.ALGORITHM, "use": "sig"}
        for name, key in (await _published(door)).items()
    ]
    return JSONResponse({"keys": keys}, headers=_CACHED)


# A DID with a path has its document there, and not below .well-known (did:web, 3.2).
@router.get("/did.json", include_in_schema=False)
@router.get(
    "/.well-known/did.json", summary="The DID of this door", response_model=dict[str, object], responses=_ANSWERS
)
async def did_document(door: LimitedDoor) -> JSONResponse:
    """The same keys, as the document of `did:web`, with which x402's receipts are verified."""
    did = receipts.did()
    methods = [
        {"id": f"{did}#{name}", "type": "JsonWebKey2020", "controller": did, "publicKeyJwk": signing.jwk(key)}
        for name, key in (await _published(door)).items()
    ]
    document = {
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/suites/jws-2020/v1"],
        "id": did,
        "verificationMethod": methods,
        "assertionMethod": [method["id"] for method in methods],
    }
    return JSONResponse(document, headers=_CACHED)


async def _published(door: Door) -> dict[str, bytes]:
    async with db.autocommit(door.pool) as conn:
        return await receipts.published_keys(conn)
