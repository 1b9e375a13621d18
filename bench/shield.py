"""Compare the search for a leaked prompt with sealing and opening the same answer.

The template has 4,000 characters and the answer 8,000; then the largest of both. A shield costs a call the search and
the marks. The ratio depends little on the machine; the milliseconds do, which are of the processor.
"""

import json
import os
import platform
import random
import time
from collections.abc import Callable
from uuid import UUID

from core.resources import prompt_shield
from core.secrets.vault import Vault, new_master_key

ROUNDS = 30
MOST_MILLISECONDS = 5.0
# The longest template, and 128,000 tokens of four characters.
LARGEST = (100_000, 512_000)
MOST_SECONDS = 1.0

_EXECUTION = UUID("01890000-0000-7000-8000-000000000001")
_VOCABULARY = 4_000


def main() -> None:
    """Measure, print a table and a line of JSON, and exit with 1 if a bound is missed."""
    os.environ.setdefault("INSTANT_MODE", "sandbox")
    os.environ.setdefault("INSTANT_MASTER_KEYS", new_master_key("bench"))
    dice = random.Random(1)
    vault = Vault(new_master_key("bench"))
    template, answer = _prose(dice, 4_000), _prose(dice, 8_000)
    seal = _milliseconds(lambda: _sealed_and_opened(vault, answer))
    marks = _milliseconds(lambda: prompt_shield.marks_of(_EXECUTION))
    search = _milliseconds(lambda: _search(template, answer))
    foreign = _milliseconds(lambda: _search(template, answer.translate({ord("a"): "ä", ord("o"): "ö"})))
    leak = _milliseconds(lambda: _search(template, template + answer[:4_000]))
    largest = _milliseconds(lambda: _search(_prose(dice, LARGEST[0]), _prose(dice, LARGEST[1])), 1) / 1000
    ratio = (search + marks) / seal
    print(f"search and marks against sealing and opening: {ratio:.1f}")
    for name, took in (("sealing and opening", seal), ("marks", marks), ("search", search)):
        print(f"  {name:22}{took:8.3f} ms")
    for name, took in (("search, with umlauts", foreign), ("search that finds", leak)):
        print(f"  {name:22}{took:8.3f} ms")
    print(f"  the largest of both   {largest:8.3f} s")
    ok = search + marks <= MOST_MILLISECONDS and foreign <= MOST_MILLISECONDS and largest <= MOST_SECONDS
    told = {"search_ms": search, "marks_ms": marks, "umlauts_ms": foreign, "finds_ms": leak, "largest_s": largest}
    rounded = {name: round(value, 3) for name, value in told.items()}
    print(
        json.dumps(
            {"bench": "shield", "ratio": round(ratio, 1), **rounded, "python": platform.python_version(), "ok": ok}
        )
    )
    if not ok:
        raise SystemExit(1)


def _search(template: str, answer: str) -> object:
    return prompt_shield.compare([answer], prompt_shield.marks_of(_EXECUTION), template, "what a buyer wrote " * 10)


def _sealed_and_opened(vault: Vault, answer: str) -> bytes:
    place = {"account": _EXECUTION, "column": "executions.sealed_result", "row": _EXECUTION}
    return vault.open(vault.seal(json.dumps({"response": answer}).encode(), **place), **place).reveal()  # type: ignore[arg-type]


def _prose(dice: random.Random, length: int) -> str:
    """Make sentences of made-up words, as long as English ones and as unevenly frequent."""
    made = random.Random(7)
    words = ["".join(made.choices("etaoinshrdlucmfwypvbgk", k=made.randrange(2, 9))) for _ in range(_VOCABULARY)]
    text, size = [], 0
    while size < length:
        sentence = " ".join(words[int(_VOCABULARY ** dice.random()) - 1] for _ in range(dice.randrange(6, 18)))
        text.append(f"{sentence.capitalize()}.")
        size += len(sentence) + 2
    return " ".join(text)[:length]


def _milliseconds(call: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the shortest of some runs, in milliseconds of the processor."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        call()
        best = min(best, time.process_time() - began)
    return best * 1000
