"""A creator with a cap, and payments to claim against it, by the ledger alone."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from x402.schemas import PaymentPayload

from core import db
from core.payments import ledger, matching
from core.resources import readiness, versions
from core.settings import settings
from tests import practice, selling

ROOM = 4
"""Executions that fit the creator's spend cap at once."""

BOOK = """
    SELECT payments.id, payments.state, payments.transaction, payments.nonce, executions.id AS execution_id,
        executions.state AS execution, reservations.execution_id IS NOT NULL AND released_at IS NULL AS reserved
    FROM payments
    JOIN executions ON executions.payment_id = payments.id
    LEFT JOIN reservations ON reservations.execution_id = executions.id
    WHERE executions.account_id = %(account)s
"""


@dataclass(frozen=True)
class Market:
    """A creator with room for `ROOM` executions, their version on sale, and the door that claims."""

    version: versions.Version
    owner: UUID

    def request(self, of: matching.MatchedPayment) -> ledger.ClaimRequest:
        return ledger.ClaimRequest(of, self.version, {"topic": "x"}, self.owner)


async def market(conn: db.Connection, room: int = ROOM) -> Market:
    """Make a market that nothing else uses, whose creator's cap has room for so many executions."""
    creator, owner = await selling.creator(conn), uuid4()
    await selling.publish(conn, creator)
    version = await readiness.resolve(conn, creator.handle, "haiku")
    await conn.execute("INSERT INTO workers (id, kind, host, pid) VALUES (%s, 'door', 'here', 1)", [owner])
    await conn.execute(
        "UPDATE accounts SET daily_spend_cap_usd = %s WHERE id = %s", [room * version.worst_cost_usd, creator.id]
    )
    return Market(version, owner)


def terms(nonce: int, more: str = "", wallet: int | None = None) -> matching.MatchedPayment:
    """A matched and verified payment; `more` replaces what another bearer of the authorization would send.

    Each is of a wallet of its own, or of this one.
    """
    requirements = practice.requirements()
    payer = f"0x{nonce if wallet is None else wallet:040x}"
    authorization = {"from": payer, "to": practice.PAY_TO, "value": "2000", "validAfter": "0", "validBefore": "9" * 10}
    payload = {"authorization": authorization | {"nonce": f"0x{nonce:064x}"}, "signature": "0x" + "34" * 65}
    return matching.MatchedPayment(
        network=settings().networks[0],
        requirements=requirements,
        payload=PaymentPayload(payload=payload, accepted=requirements, extensions={"more": more}),
        payer=payer,
        nonce=nonce.to_bytes(32),
        pay_to=practice.PAY_TO.lower(),
        amount_atomic=2000,
        valid_before=datetime.now(UTC) + timedelta(minutes=5),
        quoted=True,
        is_proved=True,
    )


def a_hash() -> str:
    return "0x" + os.urandom(32).hex()


def named(nonce: int, wallet: int = 1) -> matching.MatchedPayment:
    """A payment with an identifier that all of them share, of one wallet."""
    of = terms(nonce, wallet=wallet)
    of.payload.extensions = {"payment-identifier": {"info": {"id": "pay_7d5d747be160e280504c099d984bcfe0"}}}
    return of


async def fetch(conn: db.Connection, query: str, **parameters: object) -> list[Any]:
    return await (await conn.execute(query.encode(), parameters)).fetchall()
