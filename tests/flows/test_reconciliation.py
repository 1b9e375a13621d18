"""The flow `reconciliation`, against a real Prefect server."""

import pytest

from flows.reconciliation import reconciliation


@pytest.mark.usefixtures("own_database", "prefect_server")
async def test_a_pass_says_what_it_came_to() -> None:
    """The message of its final state has the counts, and nothing else."""
    state = await reconciliation(return_state=True)

    assert state.is_completed()
    assert state.message == "priced 0 of 0, 0 without a key"
