"""The chart: helm renders it, Kubernetes's schemas accept it, and what it must hold it holds."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from core.settings import Settings
from deployments import entry
from tests.packaging.tools import DEPLOYMENTS, accepted, run

CHART = DEPLOYMENTS / "chart"
LEAST = ("--set", "settings.INSTANT_PUBLIC_URL=https://shop.example")
ALL = (
    *LEAST,
    *("--set", "executor.keda.enabled=true", "--set", "executor.keda.prometheus=http://prometheus.example:9090"),
    *("--set", "door.ingress.enabled=true", "--set", "door.ingress.host=shop.example"),
    *("--set", "door.ingress.tlsSecret=shop-tls", "--set", "door.preStopSeconds=20", "--set", "drainSeconds=600"),
    *("--set", "monitoring.podMonitor.enabled=true", "--set", "monitoring.prometheusRule.enabled=true"),
)
# Their schemas are not in the package that knows Kubernetes's own.
_FOREIGN = {"ScaledObject", "PodMonitor", "PrometheusRule"}


def rendered(*values: str) -> list[dict[str, Any]]:
    """What helm would give to the cluster."""
    return [one for one in yaml.safe_load_all(accepted("helm", "template", "shop", CHART, *values)) if one]


def pods(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The specifications of pods, by the component."""
    return {
        one["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"]["template"]
        for one in documents
        if one["kind"] in ("Deployment", "Job")
    }


def kinds(documents: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """Documents of a kind, by name."""
    return {one["metadata"]["name"]: one for one in documents if one["kind"] == kind}


def grace(pod: dict[str, Any]) -> int:
    """Seconds that a pod has after SIGTERM."""
    (container,) = pod["spec"]["containers"]
    stop = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
    return int(pod["spec"]["terminationGracePeriodSeconds"]) - int(stop[1])


@pytest.mark.parametrize("values", [LEAST, ALL])
def test_helm_and_kubernetes_accept_it(values: tuple[str, ...], tmp_path: Path) -> None:
    """`helm lint --strict` finds nothing, and no manifest has a member that Kubernetes does not know."""
    accepted("helm", "lint", "--strict", CHART, *values)
    documents = rendered(*values)
    file = tmp_path / "rendered.yaml"
    file.write_text(yaml.safe_dump_all([one for one in documents if one["kind"] not in _FOREIGN]))
    accepted("kubernetes-validate", "--strict", file)

    assert ({one["kind"] for one in documents} & _FOREIGN == _FOREIGN) is (values is ALL)
    assert "Secret" not in {one["kind"] for one in documents}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ((), "INSTANT_PUBLIC_URL"),
        (("--set", "settings.INSTANT_PUBLIC_URL=http://shop.example"), "INSTANT_PUBLIC_URL"),
        ((*LEAST, "--set", "settings.INSTANT_MASTER_KEYS=practice"), "INSTANT_MASTER_KEYS"),
        ((*LEAST, "--set", "settings.INSTANT_DATABASE_URL=practice"), "INSTANT_DATABASE_URL"),
        ((*LEAST, "--set", "settings.INSTANT_MODE=sandbox"), "INSTANT_MODE"),
        ((*LEAST, "--set", "door.replica=3"), "replica"),
        ((*LEAST, "--set", "executor.keda.enabled=true"), "prometheus"),
        ((*LEAST, "--set", "door.ingress.enabled=true"), "host"),
        ((*LEAST, "--set", "prefect.enabled=false"), "INSTANT_PREFECT_API_URL"),
    ],
)
def test_wrong_values_are_refused(values: tuple[str, ...], named: str) -> None:
    """Before anything is installed: what is missing, misspelt, or a secret in plain sight."""
    done = run("helm", "template", "shop", CHART, *values)

    assert done.returncode != 0
    assert named in done.stderr


@pytest.mark.parametrize("values", [LEAST, ALL])
def test_every_pod_is_confined(values: tuple[str, ...]) -> None:
    """No root, no writable code, no token of Kubernetes, no variables made of Services' names."""
    found = pods(rendered(*values))

    assert found.keys() == {"door", "executor", "worker", "migrate", "prefect-api", "prefect-services"}
    for pod in found.values():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["enableServiceLinks"] is spec["automountServiceAccountToken"] is False
        for container in (*spec["containers"], *spec.get("initContainers", [])):
            confined = container["securityContext"]
            assert confined["readOnlyRootFilesystem"] is True
            assert confined["allowPrivilegeEscalation"] is False
            assert confined["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]


def test_what_they_run_exists() -> None:
    """Every word is one of deployments/entry.py, every variable of ours a setting, and each has only its secrets."""
    found = pods(rendered(*LEAST))
    words = {
        container["args"][0]
        for pod in found.values()
        for container in (*pod["spec"]["containers"], *pod["spec"].get("initContainers", []))
    }
    named = {
        variable["name"]
        for pod in found.values()
        for container in pod["spec"]["containers"]
        for variable in container["env"]
    }
    secrets = {
        part: [volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume]
        for part, pod in found.items()
    }

    assert words == set(entry.WORDS) - {"prefect"}
    ours = {name.removeprefix("INSTANT_").lower() for name in named if name.startswith("INSTANT_")}
    assert ours <= Settings.model_fields.keys()
    assert secrets == {
        **{key: ["instant"] for key in ("door", "executor", "worker")},
        "migrate": ["instant-migrate"],
        **{key: ["instant-prefect"] for key in ("prefect-api", "prefect-services")},
    }


@pytest.mark.parametrize("values", [LEAST, ALL])
def test_a_stopping_pod_has_time_to_drain(values: tuple[str, ...]) -> None:
    """Kubernetes kills it only after the drain and what follows it; a new one is there before an old one goes."""
    documents = rendered(*values)
    for part in ("door", "executor"):
        pod = pods(documents)[part]
        (container,) = pod["spec"]["containers"]
        settings = {variable["name"]: variable.get("value") for variable in container["env"]}
        assert grace(pod) >= float(settings["INSTANT_DRAIN_SECONDS"]) + 45
        assert {"livenessProbe", "startupProbe"} <= container.keys()
        deployment = kinds(documents, "Deployment")[f"shop-{part}"]
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        assert kinds(documents, "PodDisruptionBudget")[f"shop-{part}"]["spec"]["maxUnavailable"] == 1
    (door,) = pods(documents)["door"]["spec"]["containers"]
    assert door["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert door["livenessProbe"]["httpGet"]["path"] == "/health/live"


def test_selectors_find_their_pods() -> None:
    """Services, budgets, the network policy and the scaler lead to pods that there are."""
    documents = rendered(*ALL)
    labels = [pod["metadata"]["labels"] for pod in pods(documents).values()]
    selectors = [
        *(one["spec"]["selector"] for one in kinds(documents, "Service").values()),
        *(one["spec"]["selector"]["matchLabels"] for one in kinds(documents, "PodDisruptionBudget").values()),
        *(one["spec"]["podSelector"]["matchLabels"] for one in kinds(documents, "NetworkPolicy").values()),
    ]
    (scaled,) = kinds(documents, "ScaledObject").values()

    assert [sum(selector.items() <= label.items() for label in labels) for selector in selectors] == [1] * len(
        selectors
    )
    assert scaled["spec"]["scaleTargetRef"]["name"] in kinds(documents, "Deployment")
    assert "replicas" not in kinds(documents, "Deployment")["shop-executor"]["spec"]
    assert (
        scaled["spec"]["triggers"][0]["metadata"]["query"] == 'max(instant_oldest_queued_seconds{namespace="default"})'
    )


def test_migrations_come_first_and_alerts_are_the_one_file() -> None:
    documents = rendered(*ALL)
    (job,) = kinds(documents, "Job").values()
    (rule,) = kinds(documents, "PrometheusRule").values()

    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert rule["spec"] == yaml.safe_load((DEPLOYMENTS / "monitoring/alerts.yaml").read_text())
