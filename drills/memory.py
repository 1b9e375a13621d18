"""Check whether a long-lived process keeps growing in memory."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median

import psutil

_PAUSE_SECONDS = 0.5
_MIB = 2**20

# Shares of the work; the part before the first is warm-up.
_EARLY = (0.25, 0.5)
_LATE = (0.8, 1.0)
MOST_GROWTH = 1.10


@dataclass
class Memory:
    """Samples of each process: its resident memory, and the share of the work that was done (0 to 1)."""

    samples: defaultdict[str, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))

    async def watch(self, pids: Mapping[str, int], done: Callable[[], float], pause: float = _PAUSE_SECONDS) -> None:
        """Sample repeatedly until cancelled."""
        processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        while True:
            for name, process in processes.items():
                self.samples[name].append((done(), process.memory_info().rss))
            await asyncio.sleep(pause)

    def told(self) -> dict[str, dict[str, float]]:
        """Summarise for people: medians in MiB of both periods, the maximum, and their ratio."""
        return {
            name: {
                "earlyMiB": round(self._median(name, _EARLY) / _MIB, 1),
                "lateMiB": round(self._median(name, _LATE) / _MIB, 1),
                "mostMiB": round(max(rss for _, rss in samples) / _MIB, 1),
                "growth": round(self.growth(name), 3),
            }
            for name, samples in self.samples.items()
        }

    def growth(self, name: str) -> float:
        """Return the median of the last fifth of the work over that of its second quarter; the first is warm-up."""
        return self._median(name, _LATE) / self._median(name, _EARLY)

    def grown(self) -> list[str]:
        """List the processes whose memory grew by more than a tenth."""
        return [
            f"the memory of {name} grew to {self.growth(name):.2f} times what it was"
            for name in self.samples
            if self.growth(name) > MOST_GROWTH
        ]

    def _median(self, name: str, stretch: tuple[float, float]) -> float:
        first, last = stretch
        return median(rss for done, rss in self.samples[name] if first <= done <= last)
