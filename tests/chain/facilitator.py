"""A facilitator made from the SDK, over HTTP: the exact EVM scheme on the chains of these tests.

One process, one signer: two that share a key take each other's transaction numbers.
"""

import argparse
import os
import socket
from collections.abc import Callable, Mapping

import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from x402 import x402FacilitatorSync
from x402.mechanisms.evm import FacilitatorWeb3Signer
from x402.mechanisms.evm.exact.facilitator import ExactEvmScheme, ExactEvmSchemeConfig
from x402.schemas import SettleRequest, SettleResponse, SupportedResponse, VerifyRequest, VerifyResponse

KEY = "PRACTICE_FACILITATOR_KEY"
"""The environment variable with the signer's private key."""

CONFIRMATION_SECONDS = 1.0
"""Until a transaction without a block is answered with settlement_pending."""


def create_app(nodes: Mapping[str, str], key: str) -> FastAPI:
    """The app with a facilitator's three routes.

    Args:
        nodes: the JSON-RPC of each network (CAIP-2) that it serves.
        key: signs and pays for the transactions.
    """
    # One per network: the SDK uses the first for all chains of its family, whichever chain its node is on.
    facilitators = {network: _facilitator(network, url, key) for network, url in nodes.items()}
    app = FastAPI(title="Facilitator of the chain tests")

    @app.get("/supported")
    def supported() -> JSONResponse:
        each = [facilitator.get_supported() for facilitator in facilitators.values()]
        return _json(SupportedResponse(kinds=[kind for one in each for kind in one.kinds], signers=each[0].signers))

    @app.post("/verify")
    def verify(request: VerifyRequest) -> JSONResponse:
        asked = facilitators.get(request.payment_requirements.network)
        refused = VerifyResponse(is_valid=False, invalid_reason="invalid_network")
        return _answer(request, asked.verify if asked else None, refused)

    @app.post("/settle")
    def settle(request: SettleRequest) -> JSONResponse:
        network = request.payment_requirements.network
        asked = facilitators.get(network)
        refused = SettleResponse(success=False, error_reason="invalid_network", transaction="", network=network)
        return _answer(request, asked.settle if asked else None, refused)

    return app


def _facilitator(network: str, node: str, key: str) -> x402FacilitatorSync:
    signer = FacilitatorWeb3Signer(key, node, confirmation_timeout_seconds=CONFIRMATION_SECONDS)
    facilitator = x402FacilitatorSync()
    facilitator.register([network], ExactEvmScheme(signer, ExactEvmSchemeConfig(simulate_in_settle=True)))
    return facilitator


def _answer(
    request: VerifyRequest | SettleRequest, ask: Callable[..., BaseModel] | None, refused: BaseModel
) -> JSONResponse:
    if ask is None:
        return _json(refused)
    try:
        return _json(ask(request.payment_payload, request.payment_requirements))
    except ValueError:
        # The SDK's exception for text that is no number or hex.
        return JSONResponse({}, 400)


def _json(answer: BaseModel) -> JSONResponse:
    return JSONResponse(answer.model_dump(by_alias=True, exclude_none=True))


def main() -> None:
    """Serve on loopback."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--node", action="append", required=True, help="NETWORK=URL, as often as there are networks")
    arguments = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", arguments.port))
    app = create_app(dict(node.split("=", 1) for node in arguments.node), os.environ[KEY])
    uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
