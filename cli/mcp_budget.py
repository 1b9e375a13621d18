"""Hold the spending of a day within its cap, for all bridges of this user together."""

import fcntl
import os
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel, ValidationError

from cli.buy_order import replace
from core.failures import Misconfigured


class Spending(BaseModel):
    """What was signed on a day (UTC), in USDC. A signature counts from then on, also if the seller refuses it."""

    day: date
    usdc: Decimal


def reserve(folder: Path, price: Decimal, most_per_day: Decimal) -> Decimal | None:
    """Count a price against the cap of today, unless it does not fit. A crash leaves it counted.

    Args:
        folder: where the state is kept.
        price: USDC.
        most_per_day: the cap, in USDC.

    Returns:
        What is left of the cap after this; None, and nothing is counted, if it does not fit.

    Raises:
        Misconfigured: the state cannot be read or written; then nothing may be signed.
    """
    lock = -1
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / "spending.lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        spent = _read(folder / "spending.json") + price
        if spent > most_per_day:
            return None
        replace(folder / "spending.json", Spending(day=_today(), usdc=spent).model_dump_json())
        return most_per_day - spent
    except (OSError, ValidationError):
        pass
    finally:
        if lock >= 0:
            os.close(lock)
    raise Misconfigured(f"{folder} cannot be read and written, and what is spent has to be counted there first")


def _read(file: Path) -> Decimal:
    try:
        spending = Spending.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return Decimal(0)
    return spending.usdc if spending.day == _today() else Decimal(0)


def _today() -> date:
    return datetime.now(UTC).date()
