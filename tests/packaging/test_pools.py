"""Work pools of containers and pods: what Prefect itself makes of their files. No engine runs."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.workers.base import BaseJobConfiguration

from deployments.batch_runner import DEPLOYMENT

pytestmark = pytest.mark.usefixtures("prefect_server")

_ROOT = Path(__file__).parents[2]
_POOLS = _ROOT / "deployments" / "pools"
_IMAGE = "registry.example/x402-instant:practice"


class Job(BaseJobConfiguration):
    """What both kinds of worker read beside the members that all have."""

    image: str | None = None
    job_manifest: dict[str, Any] | None = None
    container_create_kwargs: dict[str, Any] | None = None
    volumes: list[str] | None = None


@pytest.fixture(scope="module", params=["docker", "kubernetes"])
async def deployed(
    request: pytest.FixtureRequest, prefect_server: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[WorkPool, DeploymentResponse]:
    """The pool from its template, and the deployment, as if its build step had just built and pushed the image."""
    kind = request.param
    file = yaml.safe_load((_POOLS / f"{kind}.yaml").read_text())
    (build,), (push,) = file.pop("build"), file.pop("push")
    assert (_step(build), _step(push)) == ("build_docker_image", "push_docker_image")
    assert build["prefect_docker.deployments.steps.build_docker_image"]["dockerfile"] == "deployments/image/Dockerfile"
    without = tmp_path_factory.mktemp(kind) / "prefect.yaml"
    without.write_text(yaml.safe_dump(file).replace("{{ image.image }}", _IMAGE))
    template = str(_POOLS / f"{kind}.json")
    name = f"instant-{kind}"
    _prefect("work-pool", "create", name, "--type", kind, "--base-job-template", template, "--overwrite")
    _prefect("deploy", "--prefect-file", str(without), "--all")
    async with get_client() as prefect:
        return await prefect.read_work_pool(name), await prefect.read_deployment_by_name(DEPLOYMENT)


def _step(step: dict[str, Any]) -> str:
    (name,) = step
    return str(name).removeprefix("prefect_docker.deployments.steps.")


def _prefect(*arguments: str) -> None:
    command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
    done = subprocess.run(command, env=os.environ, cwd=_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


async def test_the_launchers_deployment_is_in_the_pool(deployed: tuple[WorkPool, DeploymentResponse]) -> None:
    """Its variables fit the pool's schema, the job gets its image, and nothing of it can hold a secret of ours."""
    pool, deployment = deployed
    variables = deployment.job_variables or {}
    jsonschema.validate(variables, pool.base_job_template["variables"] | {"additionalProperties": False})
    job = await Job.from_template_and_values(pool.base_job_template, variables)

    assert deployment.work_pool_name == pool.name
    assert deployment.pull_steps == [{"prefect.deployments.steps.set_working_directory": {"directory": "/srv/instant"}}]
    assert job.env == {}
    if pool.type == "kubernetes":
        assert job.job_manifest
        pod = job.job_manifest["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["terminationGracePeriodSeconds"] == 45
        assert (container["image"], container["command"]) == (_IMAGE, ["python", "-m"])
        assert container["envFrom"] == [{"secretRef": {"name": "instant"}}]
        assert job.job_manifest["spec"]["backoffLimit"] == 0
    else:
        assert job.image == _IMAGE
        assert job.volumes == ["/etc/instant/pool.env:/run/secrets/instant.env:ro"]


async def test_a_containers_first_command(deployed: tuple[WorkPool, DeploymentResponse], tmp_path: Path) -> None:
    """It reads the file of variables, and becomes the command that Prefect's worker gives it."""
    pool, deployment = deployed
    if pool.type != "docker":
        pytest.skip("Kubernetes reads a Secret")
    job = await Job.from_template_and_values(pool.base_job_template, deployment.job_variables or {})
    assert job.container_create_kwargs
    file = tmp_path / "pool.env"
    file.write_text('INSTANT_NETWORKS=\'[{"id": "practice one"}]\'\n')
    entry = [part.replace("/run/secrets/instant.env", str(file)) for part in job.container_create_kwargs["entrypoint"]]
    given = ["timeit", "-n1", "-r1", "import os; print(os.environ['INSTANT_NETWORKS'])"]
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    told = await asyncio.to_thread(
        subprocess.run, [*entry, *given], env={"PATH": path}, capture_output=True, text=True, check=False
    )

    assert '[{"id": "practice one"}]' in told.stdout, told.stderr
