"""The flow `cost_backfill`, against a real Prefect server."""

import pytest

from flows.cost_backfill import cost_backfill


@pytest.mark.usefixtures("own_database", "prefect_server")
async def test_a_pass_says_what_it_came_to() -> None:
    """The message of its final state has the counts, and nothing else."""
    state = await cost_backfill(return_state=True)

    assert state.is_completed()
    assert state.message == "priced 0 of 0, 0 without a key"
