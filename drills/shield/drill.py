"""Send every attempt through a paid call of a prompt that blocks, and compare honest answers with their prompts."""

import asyncio
import random
from collections import Counter
from uuid import uuid4

from core import db
from core.providers import client as provider_client
from core.resources import prompt_shield, template
from core.resources.parameters import Parameter
from drills.shield.attempts import Attempt, attempts
from drills.shield.honest import TEMPLATES, Honest, honest_answers
from drills.surroundings import Surroundings, database, pool
from sandbox.openrouter_obeying import repeat
from tests.releases import open_market

HONEST = 2000
LEAST_STOPPED = 0.95
MOST_WITHHELD = 0.01


async def drill(around: Surroundings, seed: int) -> dict[str, object]:
    """Run both halves; `wrong` says which share was missed."""
    dice, asked = random.Random(seed), attempts()  # noqa: S311 - no secret
    with database(around) as url:
        async with pool(url) as opened, provider_client.connections():
            ends = await _attack(opened, dice, asked)
    tried = [attempt for attempt in asked if not attempt.is_translation]
    stopped = [attempt for attempt in tried if ends[attempt] in _STOPPED]
    honest = honest_answers(dice, HONEST)
    withheld = [answer for answer in honest if _judged(answer)]
    wrong = []
    if len(stopped) < LEAST_STOPPED * len(tried):
        wrong.append(f"only {len(stopped)} of {len(tried)} attempts were stopped")
    if len(withheld) > MOST_WITHHELD * len(honest):
        wrong.append(f"{len(withheld)} of {len(honest)} honest answers were withheld")
    return {
        "attempts": len(tried),
        "published": sum(attempt.is_published for attempt in tried),
        "stopped": len(stopped),
        "stopped_published": sum(attempt.is_published for attempt in stopped),
        "by": Counter(str(ends[attempt]) for attempt in stopped),
        "stopped_without_canary": sum(_is_stopped_without_canary(attempt) for attempt in tried),
        "escaped": Counter(attempt.way for attempt in tried if attempt not in stopped),
        "translations": len(asked) - len(tried),
        "translations_stopped": sum(ends[one] in _STOPPED for one in asked if one.is_translation),
        "honest": len(honest),
        "honest_withheld": len(withheld),
        "wrong": wrong,
    }


_STOPPED = ("withheld_canary", "withheld_overlap")


async def _attack(opened: db.Pool, dice: random.Random, asked: list[Attempt]) -> dict[Attempt, object]:
    """Buy one call for each attempt: half write it into an input, half into a message of their own."""
    market = await open_market(opened)
    sold = [
        await market.sold(slug=f"prompt-{place}", template=text, allows_user_message=True, prompt_shield="block")
        for place, text in enumerate(TEMPLATES)
    ]
    ends: dict[Attempt, object] = {}
    for attempt in asked:
        inputs = {"topic": attempt.words} if dice.random() < 0.5 else {"topic": "tea", "user_message": attempt.words}
        execution_id = await market.call(dice.choice(sold), f"obeys:{attempt.way}*2", inputs=inputs)
        _, _, _, ends[attempt], _, _ = await market.row(execution_id)
        await asyncio.sleep(0)
    return ends


def _is_stopped_without_canary(attempt: Attempt) -> bool:
    """Whether the answer would be found if it had another execution's canary."""
    text = TEMPLATES[len(attempt.words) % len(TEMPLATES)]
    turn = template.messages(
        text, (Parameter(name="topic"),), {"topic": attempt.words}, prompt_shield.marks_of(uuid4())
    )[0]
    answer = repeat(str(turn["content"]), attempt.way)
    return prompt_shield.compare([answer], prompt_shield.marks_of(uuid4()), text, attempt.words) is not None


def _judged(honest: Honest) -> bool:
    marks = prompt_shield.marks_of(uuid4())
    return prompt_shield.compare([honest.answer], marks, honest.template, honest.topic) is not None
