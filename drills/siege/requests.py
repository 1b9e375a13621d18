"""Attacks by requests without payments: floods, wrong tokens, and paths that something might read differently."""

import random
from uuid import uuid4

from drills.siege.grounds import PROXY, Attack, Grounds, Said, raw, status_of

_WRONG_TOKENS = ("", "x", "A" * 22, "../" * 8, "%00")
_EVIL = "evil.example"


async def _one_address(grounds: Grounds, _dice: random.Random) -> Said:
    return (await grounds.get("127.0.2.10", grounds.shop.path)).status_code


async def _many_networks(grounds: Grounds, dice: random.Random) -> Said:
    """Each request from another /64, as one customer with a /32 has them."""
    client = f"2001:db8:{dice.randrange(65536):x}:{dice.randrange(65536):x}::{dice.randrange(65536):x}"
    return (await grounds.get(PROXY, grounds.shop.path, **{"X-Forwarded-For": client})).status_code


async def _ready(grounds: Grounds, _dice: random.Random) -> Said:
    return (await grounds.get("127.0.2.11", "/health/ready")).status_code


async def _metrics(grounds: Grounds, _dice: random.Random) -> Said:
    return (await grounds.get("127.0.2.12", "/metrics")).status_code


async def _tokens(grounds: Grounds, dice: random.Random) -> Said:
    """Guesses at what needs a token: others' answers, creators' and operators' records."""
    execution = dice.choice(grounds.executions) if grounds.executions else str(uuid4())
    token = dice.choice((*_WRONG_TOKENS, dice.randbytes(16).hex()))
    paths = (f"/executions/{execution}?token={token}", "/me", "/me/executions", "/me/usage", "/health/money")
    bearer = {"Authorization": f"Bearer {dice.randbytes(32).hex()}"}
    return (await grounds.get("127.0.2.13", dice.choice(paths), **bearer)).status_code


async def _paths(grounds: Grounds, dice: random.Random) -> Said:
    """Other spellings of a path that is paid for; fastapi/fastapi#4990 and others."""
    path = grounds.shop.path
    handle, slug = path.removeprefix("/@").split("/")
    spellings = (
        f"/{path}",
        f"/%40{handle}/{slug}",
        f"/@{handle}%2F{slug}",
        f"/@{handle}/./{slug}",
        f"/@{handle}/../@{handle}/{slug}",
        f"/@{handle}//{slug}",
        path.upper(),
        f"{path};x",
        f"{path}%00",
        f"{path}?x=1",
        f"{path}#x",
        f"/@{handle}/%{ord(slug[0]):x}{slug[1:]}",
    )
    request = f"GET {dice.choice(spellings)} HTTP/1.1\r\nHost: door\r\nConnection: close\r\n\r\n"
    return status_of(await raw(grounds, "127.0.2.14", request.encode()))


async def _slashes(grounds: Grounds, dice: random.Random) -> Said:
    """A slash too many, and a Host that is the attacker's."""
    paths = (f"{grounds.shop.path}/", f"{grounds.shop.path}%2f", f"/executions/{uuid4()}/?token=secret", "/models/")
    request = f"GET {dice.choice(paths)} HTTP/1.1\r\nHost: {_EVIL}\r\nConnection: close\r\n\r\n"
    answer = await raw(grounds, "127.0.2.15", request.encode())
    return "wrong: the Host header is answered" if _EVIL.encode() in answer else status_of(answer)


ATTACKS = (
    Attack("offers to one address", 22, _one_address),
    Attack("offers to many networks", 20, _many_networks),
    Attack("readiness", 10, _ready, may_succeed=True),
    Attack("metrics", 5, _metrics, may_succeed=True),
    Attack("wrong tokens", 4, _tokens),
    Attack("paths", 3, _paths),
    Attack("slashes", 2, _slashes),
)
