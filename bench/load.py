"""Calls that arrive whatever becomes of the earlier ones, beside what one would use otherwise."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence

import uvloop

from bench import load_launcher, load_rows
from bench.load_cells import Cell
from bench.load_stage import LAUNCHERS, Stage, launcher, stage
from bench.load_upstream import FAST, SLOW, Upstream
from core import db

UPSTREAMS = {one.name: one for one in (FAST, SLOW)}


def main(arguments: Sequence[str] = ()) -> None:
    """Run the cells that the command line names and print what came of them."""
    wanted = _read(arguments)
    with stage() as on:
        cells = uvloop.run(_launchers(on, wanted))
    print(
        json.dumps({"bench": "load", "cells": [cell.plain() for cell in cells], "ok": all(not c.failed for c in cells)})
    )


def _read(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench load")
    parser.add_argument("--level", choices=["launcher"], default="launcher")
    parser.add_argument("--rates", type=_numbers, default=[1, 5, 20, 50, 100], help="arrivals a second")
    parser.add_argument("--seconds", type=float, default=15, help="how long they come")
    parser.add_argument("--launch", type=lambda text: text.split(","), default=["here"], help=",".join(LAUNCHERS))
    parser.add_argument("--upstream", choices=UPSTREAMS, default=FAST.name, help="how long the provider takes")
    parser.add_argument("--patience", type=float, default=20, help="seconds that are waited after the last arrival")
    return parser.parse_args(arguments)


async def _launchers(on: Stage, wanted: argparse.Namespace) -> list[Cell]:
    cells = []
    upstream: Upstream = UPSTREAMS[wanted.upstream]
    async with db.pool() as pool, load_rows.market(pool) as sellers:
        await asyncio.gather(*(upstream.order(shop) for shop in sellers))
        for kind in wanted.launch:
            with launcher(on, kind):
                await load_launcher.warm_up(pool, sellers)
                for rate in wanted.rates:
                    cell = await load_launcher.measure(
                        on, pool, sellers, kind, upstream, rate, wanted.seconds, wanted.patience
                    )
                    cells.append(cell)
                    print(cell.told(), file=sys.stderr, flush=True)
    return cells


def _numbers(text: str) -> list[float]:
    return [float(one) for one in text.split(",")]
