"""The settings of Prefect's server, which runs without those of a door: it has no key of ours."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.settings import headers

PREFIX = "INSTANT_"

HeaderSecret = Annotated[SecretStr | None, AfterValidator(headers.checked_secret)]
Port = Annotated[int, Field(ge=1, le=65_535)]


class PrefectSettings(BaseSettings):
    """What Prefect's server and our processes share."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True, env_ignore_empty=True
    )

    state_dir: Path = Field(default=Path(".instant"), description="where `instant dev` keeps its data and keys")
    secrets_dir: Path | None = Field(
        default=None,
        description="folder of files with the names of variables, as Docker, Kubernetes and systemd mount secrets; the"
        " environment and `instant.env` go first",
    )
    prefect_database_url: SecretStr | None = Field(
        default=None, description="Prefect's Postgres; unset: the embedded one"
    )
    prefect_port: Port = Field(default=4200, description="the port of the Prefect server in `instant dev`")
    prefect_auth_string: HeaderSecret = Field(default=None, description="user:password of Prefect's API")
    prefect_retention_days: int = Field(default=7, ge=1, description="days that Prefect keeps its runs and events")
