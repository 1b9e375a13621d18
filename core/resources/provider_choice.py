"""Which of the providers behind a router may serve a call."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+([-./][a-z0-9]+)*$", max_length=100)]
Slugs = Annotated[tuple[Slug, ...], Field(max_length=16)]


class ProviderChoice(BaseModel):
    """Which of the providers behind a router may serve a call; OpenRouter's `provider` with the same members.

    Attributes:
        only: no others.
        ignore: never these.
        order: these first, in this order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    only: Slugs = ()
    ignore: Slugs = ()
    order: Slugs = ()

    @model_validator(mode="after")
    def _leaves_some(self) -> Self:
        if not self.only and not self.ignore and not self.order:
            raise ValueError("providers needs only, ignore or order")
        if {*self.ignore} & {*self.only, *self.order}:
            raise ValueError("a provider cannot be both ignored and chosen")
        if self.only and not {*self.order} <= {*self.only}:
            raise ValueError("order names a provider that only leaves out")
        return self

    def as_request(self) -> dict[str, list[str]]:
        """The members that say something, as they are sent and shown."""
        return {name: list(slugs) for name, slugs in self if slugs}
