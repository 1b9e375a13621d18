"""The desk: pages at `/desk` where a creator does everything that the routes below `/me` do, by the same functions.

A page reads and changes nothing by itself: its form calls what the route calls, acting for the same creator. `visits`
lets people in and frames the pages; the other modules each serve one part.
"""

from fastapi import APIRouter

from api.pages.desk import account, calls, editor, home, keys, money, notices, products, trials, visits

router = APIRouter()
for part in (visits, home, editor, products, trials, keys, money, calls, notices, account):
    router.include_router(part.router)

__all__ = ["router", "visits"]
