"""Judge whether the schedules are kept, from their last successes in our database and their deployments in Prefect."""

from collections.abc import Mapping
from dataclasses import dataclass

from core.process.scheduled_runs import ScheduleRecord
from deployments.prefect_server import Deployed
from deployments.schedules import SCHEDULES

NAMES = [schedule.name for schedule in SCHEDULES]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of the schedules.

    Attributes:
        records: our database's record of each schedule.
        deployed: the state of each deployment in Prefect; None if Prefect does not answer.
    """

    records: Mapping[str, ScheduleRecord]
    deployed: Mapping[str, Deployed] | None

    @property
    def late(self) -> dict[str, bool]:
        """Whether each schedule has had no success for longer than its limit."""
        longest = {schedule.name: schedule.longest.total_seconds() for schedule in SCHEDULES}
        return {name: self.records[name].age_seconds > longest[name] for name in NAMES if name in self.records}

    @property
    def active(self) -> dict[str, bool]:
        """Whether Prefect would run each schedule; empty if Prefect does not answer."""
        return {name: state == "active" for name, state in (self.deployed or {}).items()}

    def document(self) -> dict[str, object]:
        """Describe the verdict, kept or broken, and name the schedules that break it."""
        late = [name for name, is_late in self.late.items() if is_late]
        is_kept = not late and all(self.active.values())
        return {
            "state": "kept" if is_kept else "broken",
            "late": late,
            "missing": self._deployed_as("missing"),
            "paused": self._deployed_as("paused"),
            "succeededAt": {
                name: record.succeeded_at and record.succeeded_at.isoformat()
                for name, record in self.records.items()
                if name in NAMES
            },
        }

    def _deployed_as(self, wanted: Deployed) -> list[str] | None:
        if self.deployed is None:
            return None
        return [name for name, state in self.deployed.items() if state == wanted]
