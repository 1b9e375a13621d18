"""Hold the result of one cell: one contestant under one load."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

_LATE_MS = 50.0


@dataclass(frozen=True)
class Latency:
    """Percentiles in milliseconds."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> "Latency":
        """Compute the percentiles; infinite if nothing was measured."""
        if len(milliseconds) < 2:
            only = milliseconds[0] if milliseconds else float("inf")
            return cls(only, only, only)
        cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
        return cls(cuts[49], cuts[94], cuts[98])

    def __str__(self) -> str:
        return f"{self.p50:,.0f}/{self.p95:,.0f}/{self.p99:,.0f}"


@dataclass(frozen=True)
class Cell:
    """The result of one contestant under one load.

    Attributes:
        level: launcher, paid, unpaid or door.
        contestant: its name.
        upstream: the provider's latency.
        rate: requested arrivals per second; 0 if as many as possible arrived.
        seconds: how long they arrived.
        arrivals: the number of arrivals.
        answered: the number of arrivals with an answer.
        added: milliseconds from queued to call begun, or the total minus the provider's time.
        whole: the total minus the provider's time, if both are known.
        per_second: answers per second, from the first arrival to the last answer minus the provider's time.
        runs: the number of flow runs.
        cpu_ms: CPU milliseconds per answer, by process.
        late_ms: the lateness of the load itself (p99).
        buyers: the number of concurrent buyers, if the rate is 0.
        memory_mib: resident memory after these calls by process, if it was measured.
        past: executions that the database held before.
    """

    level: str
    contestant: str
    upstream: str
    rate: float
    seconds: float
    arrivals: int
    answered: int
    added: Latency
    per_second: float
    runs: int = 0
    whole: Latency | None = None
    cpu_ms: dict[str, float] = field(default_factory=dict)
    late_ms: float = 0.0
    buyers: int = 0
    memory_mib: dict[str, float] = field(default_factory=dict)
    past: int = 0

    @property
    def is_late(self) -> bool:
        """Whether the load differed from the requested one, because its arrivals were late."""
        return self.late_ms > _LATE_MS

    @property
    def failed(self) -> int:
        """The number of arrivals without an answer."""
        return self.arrivals - self.answered

    @property
    def cpu(self) -> float:
        """CPU milliseconds per answer of the contestant itself and of Prefect's server."""
        return sum(self.cpu_ms.get(name, 0.0) for name in ("ours", "door", "worker", "prefect"))

    @property
    def cpu_of_everything(self) -> float:
        """CPU milliseconds per answer of all that answers it, Postgres too."""
        return sum(self.cpu_ms.values())

    def told(self) -> str:
        """Describe the cell in one line for people."""
        carried = f", {self.runs} runs of {self.answered / self.runs:.1f}" if self.runs else ""
        whole = f"; whole less upstream {self.whole}" if self.whole else ""
        cpu = " + ".join(f"{name} {value:.1f}" for name, value in self.cpu_ms.items())
        late = f"; THE LOAD WAS LATE by {self.late_ms:.0f} ms" if self.is_late else ""
        load = f"{self.rate:g}/s" if self.rate else f"{self.buyers} at once"
        memory = "".join(f"; {name} has {value:.0f} MiB" for name, value in self.memory_mib.items())
        past = f"; after {self.past:,} others" if self.past else ""
        parts = (
            f"{self.level:<8} {self.contestant:<9} {self.upstream:<5} {load:>11}: ",
            f"added p50/p95/p99 {self.added} ms{whole}; {self.per_second:.1f} answers/s of {self.arrivals}, ",
            f"{self.failed} failed{carried}; CPU ms per call {cpu or '-'}{memory}{past}{late}",
        )
        return "".join(parts)

    def plain(self) -> dict[str, object]:
        """Convert the cell for JSON."""
        return asdict(self)
