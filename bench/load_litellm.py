"""Run LiteLLM's proxy if it is installed in another environment: its pins conflict with ours."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from secrets import token_hex

from bench.load_stage import Stage
from bench.load_upstream import UNPAID_KEY
from core.settings import settings
from tests.shops import MODEL

KEY = f"sk-{token_hex(16)}"
"""The callers' key; the proxy does not start without one."""

EXECUTABLE = "INSTANT_BENCH_LITELLM"

_MADE = Path(__file__).parent.parent / ".litellm" / "bin" / "litellm"  # by `make .litellm`


def find() -> str | None:
    """Find its executable: INSTANT_BENCH_LITELLM, what `make .litellm` installs, or `litellm` on the PATH."""
    return shutil.which(os.environ.get(EXECUTABLE) or (str(_MADE) if _MADE.exists() else "litellm"))


def version(executable: str) -> str:
    """Return its version."""
    told = subprocess.run([executable, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    return told.stdout.split()[-1] if told.stdout.split() else "of unknown version"


def command(on: Stage, executable: str, port: int) -> list[str]:
    """Build its command: one worker, no database, one model, the practice OpenRouter."""
    parameters = {"model": f"openai/{MODEL}", "api_base": settings().openrouter_url, "api_key": UNPAID_KEY}
    config = Path(on.folder) / "litellm.yaml"  # every JSON document is also YAML
    models = [{"model_name": MODEL, "litellm_params": parameters}]
    config.write_text(json.dumps({"model_list": models, "general_settings": {"master_key": KEY}}))
    # A clean environment, so that nothing leaves this machine and only its own settings apply.
    alone = ["env", "-i", f"PATH={os.environ['PATH']}", f"HOME={on.folder}", "LITELLM_LOCAL_MODEL_COST_MAP=True"]
    options = ["--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    return [*alone, executable, *options, "--telemetry", "False"]
