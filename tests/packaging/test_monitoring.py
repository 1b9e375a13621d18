"""Alerts and board: Prometheus reads them, and every series and label in them is one that our processes have."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from core import db
from tests import doors, executors, servers, shops
from tests.packaging.tools import DEPLOYMENTS, ROOT, accepted
from tests.shops import Buyer

FOLDER = DEPLOYMENTS / "monitoring"
# Prometheus adds these to whatever it scrapes.
_SCRAPED = {"job", "instance", "namespace", "pod"}
_SELECTOR = re.compile(r"\b((?:instant|process|python)_[a-z_]+)(?:\{([^}]*)\})?")
_BY = re.compile(r"\bby \(([^)]*)\)")


def alerts() -> dict[str, str]:
    """The expression of each alert."""
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    return {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}


def panels() -> Iterator[tuple[str, str, str]]:
    """The title of each panel, with each of its expressions and the legend of that."""
    for panel in json.loads((FOLDER / "board.json").read_text())["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"], target["legendFormat"]


def asked_for(expression: str) -> Iterator[tuple[str, set[str], dict[str, set[str]]]]:
    """Each series of an expression, with the labels that it must have, and the values that it is compared with."""
    grouped = {name.strip() for names in _BY.findall(expression) for name in names.split(",")} - {"le"}
    for series, matchers in _SELECTOR.findall(expression):
        values = dict[str, set[str]]()
        for label, kind, value in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', matchers):
            values[label] = {value} if kind in ("=", "!=") else set(value.split("|"))
        yield series, (grouped | values.keys()) - _SCRAPED, values


async def labels_of(*urls: str) -> dict[str, dict[str, set[str]]]:
    """Every series that these processes have, with its labels and their values."""
    found: dict[str, dict[str, set[str]]] = {}
    async with httpx.AsyncClient(timeout=30) as http:
        for url in urls:
            for family in text_string_to_metric_families((await http.get(f"{url}/metrics")).text):
                for sample in family.samples:
                    labels = found.setdefault(sample.name, {})
                    for label, value in sample.labels.items():
                        labels.setdefault(label, set()).add(value)
    return found


async def test_every_series_and_label_exists(surroundings: Path, own_database: str) -> None:
    """After a call that was answered, one that failed, and one that could not be sold, at a door and at an executor."""
    port = servers.free_port()
    metrics = {"INSTANT_METRICS_PORT": str(port)}
    with (
        doors.door(surroundings, servers.free_port(), INSTANT_LAUNCH="executor") as door,
        executors.executor(surroundings, **metrics) as process,
    ):
        async with db.pool() as pool, httpx.AsyncClient(timeout=40, verify=servers.TLS) as http:
            await executors.at_work(pool, process)
            good, failing = [await shops.open_shop(pool) for _ in range(2)]
            await failing.openrouter(faults=["status:401"])
            for shop, status in ((good, 200), (failing, 502)):
                url = door.url + shop.path
                paid = await (await Buyer().fund()).pay(url, {"topic": "the sea"})
                headers = {"PAYMENT-SIGNATURE": paid, "Prefer": "wait=30"}
                assert (await http.post(url, json={"topic": "the sea"}, headers=headers)).status_code == status
            assert (await http.get(door.url + failing.path)).status_code == 503
        found = await labels_of(door.url, f"http://127.0.0.1:{port}")

    missing = set()
    for name, expression in (*alerts().items(), *((title, text) for title, text, _ in panels())):
        for series, labels, _ in asked_for(expression):
            # Prefect's verdict is asked for every half minute, and a first success is hours away.
            if series in ("instant_schedule_active", "instant_catalog_age_seconds"):
                continue
            if series not in found or not labels <= found[series].keys():
                missing.add((name, series, *sorted(labels)))
    assert missing == set()


def test_values_of_labels_are_ours() -> None:
    """What alerts compare with is said on the operators' page, in the words of the code."""
    page = (ROOT / "docs/operators.md").read_text()
    words = {
        value
        for text in alerts().values()
        for _, _, values in asked_for(text)
        for one in values.values()
        for value in one
    }

    assert words == {"executor", "differ", "yes", "no", "rejected", "ours", "provider", "unknown"}
    assert {word for word in words if not re.search(rf"\b{word}\b", page)} == set()


def test_promtool_reads_the_alerts() -> None:
    """The rules are sound; each fires for its cause, and none of them where all is well."""
    accepted("promtool", "check", "rules", FOLDER / "alerts.yaml")
    accepted("promtool", "test", "rules", ROOT / "tests/packaging/alerts_test.yaml")
    fired = set(re.findall(r'\{alertname="(\w+)"\}', (ROOT / "tests/packaging/alerts_test.yaml").read_text()))

    assert fired == alerts().keys()


def test_promtool_reads_the_board(tmp_path: Path) -> None:
    """Each expression is one, with Grafana's own words replaced; no panel lies over another."""
    rules = [
        {"record": f"panel:{number}", "expr": text.replace("$__rate_interval", "5m").replace("$job", ".+")}
        for number, (_, text, _) in enumerate(panels())
    ]
    file = tmp_path / "board.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}))
    accepted("promtool", "check", "rules", file)
    places = [panel["gridPos"] for panel in json.loads((FOLDER / "board.json").read_text())["panels"]]
    cells = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    for title, text, legend in panels():
        labels = set(re.findall(r"\{\{(\w+)\}\}", legend))
        grouped = {name.strip() for names in _BY.findall(text) for name in names.split(",")} - {"le"}
        assert labels - {"instance"} <= grouped, title
