"""The list of the practice provider, as tests want it for a while."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from core.settings import settings


async def listed() -> list[dict[str, Any]]:
    """Every row that the practice provider lists now."""
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{settings().openrouter_url}/models", params={"output_modalities": "all"})
        rows: list[dict[str, Any]] = answer.json()["data"]
        return rows


@asynccontextmanager
async def listing(rows: list[dict[str, Any]]) -> AsyncIterator[None]:
    """These rows are listed while the block runs."""
    control = settings().openrouter_url.removesuffix("/api/v1") + "/practice/models"
    async with httpx.AsyncClient() as http:
        (await http.put(control, json={"data": rows})).raise_for_status()
        try:
            yield
        finally:
            (await http.delete(control)).raise_for_status()
