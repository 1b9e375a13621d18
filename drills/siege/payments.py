"""Attacks by payments that move no money: hostile payloads, junk signatures, and copies of what others paid."""

import base64
import json
import random
import time
from typing import Any

from drills.market import Purchase, stranger
from drills.siege.grounds import PROXY, Attack, Grounds, Said
from tests.refusals import encoded
from tests.shops import Buyer

_POOR = Buyer()
# A proxy's clients, so many that none has more refused payments than one address may have.
_CLIENTS = 100


def _long_description(payment: dict[str, Any]) -> str:
    """CDP's schema takes at most 500 characters (x402-foundation/x402#2284)."""
    payment["resource"]["description"] = "a" * 501
    return encoded(payment)


def _nan(payment: dict[str, Any]) -> str:
    payment["extensions"] = {"x": float("nan")}
    return encoded(json.dumps(payment))


def _unknown_members(payment: dict[str, Any]) -> str:
    payment["payload"]["authorization"]["gasLimit"] = payment["payload"]["memo"] = payment["siege"] = "1" * 100
    return encoded(payment)


def _huge_extension(payment: dict[str, Any]) -> str:
    payment["extensions"] = {f"x{number}": {"info": {"deep": ["x" * 90]}} for number in range(80)}
    return encoded(payment)


_PAYLOADS = (_long_description, _nan, _unknown_members, _huge_extension)


async def _hostile(grounds: Grounds, dice: random.Random) -> Said:
    """An empty wallet's own good signature around a payload that a strict facilitator rejects."""
    source = "127.0.2.1"
    payment = await grounds.signed(source, grounds.shop, _POOR)
    return (await grounds.pay(source, grounds.shop, dice.choice(_PAYLOADS)(payment))).status_code


async def _unsigned(grounds: Grounds, dice: random.Random, signature: bytes, payer: str) -> Said:
    """A payment with made-up bytes as signature, from one of many clients of a proxy."""
    offer = await grounds.offer(PROXY, grounds.shop)
    terms = offer.accepts[0]
    now = int(time.time())
    authorization = {
        "from": payer,
        "to": terms.pay_to,
        "value": terms.amount,
        "validAfter": str(now - 60),
        "validBefore": str(now + 250),
        "nonce": "0x" + dice.randbytes(32).hex(),
    }
    payment = {
        "x402Version": 2,
        "accepted": terms.model_dump(by_alias=True, exclude_none=True),
        "payload": {"authorization": authorization, "signature": "0x" + signature.hex()},
    }
    client = f"203.0.113.{dice.randrange(_CLIENTS)}"
    answer = await grounds.pay(PROXY, grounds.shop, encoded(payment), **{"X-Forwarded-For": client})
    return answer.status_code


async def _junk(grounds: Grounds, dice: random.Random) -> Said:
    """66 bytes, as of a contract wallet, in the name of an honest buyer."""
    return await _unsigned(grounds, dice, dice.randbytes(66), grounds.victim.wallet.address)


async def _unrecoverable(grounds: Grounds, dice: random.Random) -> Said:
    """65 bytes that recover to nobody, or to somebody else."""
    return await _unsigned(grounds, dice, dice.randbytes(64) + b"\x1b", grounds.victim.wallet.address)


async def _calldata(grounds: Grounds, dice: random.Random) -> Said:
    """Somebody else's payment, rebuilt from what the chain shows of it."""
    if not grounds.headers:
        return "nobody has paid yet"
    copy = stranger(Purchase(_POOR, grounds.shop, dice.choice(grounds.headers)))
    return (await grounds.pay("127.0.2.2", grounds.shop, copy)).status_code


async def _other_request(grounds: Grounds, dice: random.Random) -> Said:
    """Somebody else's payment as it was sent, for inputs of one's own."""
    if not grounds.headers:
        return "nobody has paid yet"
    inputs = {"topic": f"siege {dice.random()}"}
    return (await grounds.pay("127.0.2.2", grounds.shop, dice.choice(grounds.headers), inputs)).status_code


async def _garbage(grounds: Grounds, dice: random.Random) -> Said:
    """What is no payment at all: noise, deep nesting, long numbers."""
    texts = ("[" * 4000, '{"x402Version":' + "9" * 4000 + "}", '{"x402Version":2,"x402Version":1}', "null")
    noise = base64.b64encode(dice.randbytes(300)).decode()
    payment = dice.choice([noise, *map(encoded, texts)])
    return (await grounds.pay("127.0.2.3", grounds.shop, payment)).status_code


ATTACKS = (
    Attack("hostile payloads", 4, _hostile),
    Attack("junk in a victim's name", 6, _junk),
    Attack("unrecoverable signatures", 3, _unrecoverable),
    Attack("others' calldata", 1, _calldata),
    Attack("others' payment, other inputs", 1, _other_request),
    Attack("no payments at all", 2, _garbage),
)
