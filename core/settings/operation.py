"""The settings of what a process writes about itself."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]


class OperationSettings(BaseSettings):
    """How much doors and executors log, and in which form."""

    log_level: LogLevel = Field(
        default="info", description="the least level of our own log lines: debug, info, warning, error"
    )
    log_format: LogFormat = Field(
        default="text", description="text for people, or json: one object a line, with time, level, logger, message"
    )
    access_log: bool = Field(
        default=False, description="whether the door logs each request: method, route, status, milliseconds, client"
    )
