"""What a process says of itself at /metrics, as Prometheus would read it."""

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from tests.servers import TLS

OPENMETRICS = "application/openmetrics-text; version=1.0.0"

Series = dict[str, float]


async def scrape(url: str, accept: str = "text/plain; version=0.0.4") -> Series:
    """All series at that door or port, each by its name with its labels in the order of the alphabet."""
    async with httpx.AsyncClient(verify=TLS, timeout=30) as http:
        answer = await http.get(f"{url}/metrics", headers={"Accept": accept})
    assert answer.status_code == 200, answer.text
    read = read_openmetrics if answer.headers["Content-Type"].startswith("application/openmetrics-text") else read_text
    series = {
        sample.name + _labels(sample.labels): sample.value for family in read(answer.text) for sample in family.samples
    }
    assert "process_start_time_seconds" in series
    return series


def moved(before: Series, after: Series) -> Series:
    """By how much our counters moved, and how many more each histogram has seen, but for the scrapes themselves."""
    return {
        name: after[name] - before.get(name, 0)
        for name in after
        if name.startswith("instant_")
        and _counts(name)
        and "/metrics" not in name
        and after[name] != before.get(name, 0)
    }


def _counts(name: str) -> bool:
    return name.split("{")[0].endswith(("_total", "_count"))


def _labels(labels: dict[str, str]) -> str:
    pairs = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
    return f"{{{pairs}}}" if pairs else ""
