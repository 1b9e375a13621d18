"""Describe to OpenAPI what creators see of their webhooks; names are spelled as on the wire."""

from pydantic import BaseModel, Field

from core.db.states import WebhookEvent
from core.notices import webhooks


class Webhook(BaseModel):
    """An address of yours that signed messages are posted to."""

    id: str
    name: str
    url: str | None = Field(description="null if our key for it is gone; then delete it and add it again")
    events: list[WebhookEvent] = Field(description="what it is told")
    createdAt: str
    deliveredAt: str | None = Field(description="when it last took a message")
    disabledAt: str | None = Field(description="since when nothing is sent there; a trial that is taken ends that")
    waiting: int = Field(description="messages that it has not taken yet")


class NewWebhook(Webhook):
    """A webhook with its secret, which is not shown again."""

    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])


class Secret(BaseModel):
    """A secret, which is not shown again."""

    secret: str


class Trial(BaseModel):
    """Whether a trial message was taken."""

    taken: bool


class WebhookToAdd(BaseModel):
    """An https address, and what it is to be told."""

    url: str = Field(max_length=500, examples=["https://example.com/hook"])
    events: list[WebhookEvent] = Field(default=list(webhooks.EVENTS), min_length=1)
    name: str = Field(default="", max_length=60, pattern=r"^[^\x00-\x1f\x7f]*$")


WEBHOOK_TO_ADD: dict[str, object] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": WebhookToAdd.model_json_schema()}}}
}
