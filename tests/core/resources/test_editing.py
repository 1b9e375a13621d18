"""Drafts: never for sale, never lost, published with every check, and a way back."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from core import db
from core.accounts import accounts, idempotency
from core.failures import Changed, InvalidInput, KeyReused, NotFound, SlugTaken
from core.payments import ledger
from core.resources import compatibility, document, editing, publishing, readiness, switching, versions
from core.resources import draft as drafts
from tests import orders
from tests.selling import SECRET_TEMPLATE, add_model, content, creator, publish

ROOT = Path(__file__).parents[3]


async def sell(conn: db.Connection, version: versions.Version) -> None:
    """Let a version have been bought once."""
    request = ledger.ClaimRequest(orders.terms(version), version, orders.INPUTS, await orders.hired(conn))
    assert await ledger.claim(conn, [request]) == [True]


async def test_a_draft_is_never_for_sale(conn: db.Connection) -> None:
    """It is at no address before it is published; then it is, and a next draft leaves it as it is."""
    owner = await creator(conn)
    made = await editing.create(conn, owner.id, content(tags=["poem"], icon="https://example.com/i.png"))
    with pytest.raises(NotFound):
        await readiness.resolve(conn, owner.handle, "haiku")
    assert (made.resource.state, made.resource.offered, made.resource.drafted) == ("draft", None, 1)
    assert [versions.state(one) for one in await versions.listing(conn, owner.id)] == ["draft"]

    await editing.publish(conn, owner.id, "haiku")
    sold = await readiness.resolve(conn, owner.handle, "haiku")
    changed = await editing.change(conn, owner.id, "haiku", {"price_usdc": "0.02"}, revisions=None)
    still = await readiness.resolve(conn, owner.handle, "haiku")

    assert (sold.number, sold.tags, sold.icon) == (1, ("poem",), "https://example.com/i.png")
    assert (changed.resource.offered, changed.resource.drafted, changed.is_new) == (1, 2, True)
    assert still == sold
    assert sold.offered_at is not None
    assert changed.resource.version.offered_at is None


async def test_the_template_comes_back_whole(conn: db.Connection) -> None:
    """What its creator reads can be saved again as it is, which makes no new version."""
    owner = await creator(conn)
    wanted = content(
        temperature="0.7", example={"inputs": {"topic": "sea"}, "answer": "Waves"}, daily_spend_cap_usd="2"
    )
    made = await editing.create(conn, owner.id, wanted)
    read = editing.document_of(made.resource)
    again = await editing.replace(conn, owner.id, "haiku", read, revisions=None)

    assert read["template"] == SECRET_TEMPLATE
    assert drafts.read(read) == drafts.read(wanted)
    assert drafts.read(document.read_text(document.as_yaml(read))) == drafts.read(wanted)
    assert (again.is_new, again.resource.version.number) == (False, 1)


async def test_a_cap_changes_at_once_and_makes_no_version(conn: db.Connection) -> None:
    """The cap is not part of what is sold; null removes it."""
    owner = await creator(conn)
    await publish(conn, owner)
    for cap, kept in (("2.5", "2.5"), (None, None)):
        saved = await editing.change(conn, owner.id, "haiku", {"daily_spend_cap_usd": cap}, revisions=None)
        found = saved.resource.row.daily_spend_cap_usd
        assert (None if found is None else f"{found:f}") == kept
        assert (saved.is_new, saved.resource.drafted) == (False, None)


async def test_a_change_of_another_revision_is_refused(conn: db.Connection) -> None:
    """Every change of a resource counts, and only the newest revision may be changed."""
    owner = await creator(conn)
    made = await editing.create(conn, owner.id, content())
    seen = [made.resource.row.revision]
    await editing.change(conn, owner.id, "haiku", {"title": "Other"}, revisions=seen)
    for lost in (
        editing.change(conn, owner.id, "haiku", {"title": "Lost"}, revisions=seen),
        editing.replace(conn, owner.id, "haiku", content(title="Lost"), revisions=seen),
        editing.publish(conn, owner.id, "haiku", revisions=seen),
        editing.switch(conn, owner.id, "haiku", is_archived=True, revisions=seen),
    ):
        with pytest.raises(Changed):
            await lost
    assert (await editing.find(conn, owner.id, "haiku")).version.title == "Other"


async def test_a_slug_is_taken_for_ever(conn: db.Connection) -> None:
    """By drafts, by what is sold and by what is archived; and no resource changes its slug."""
    owner = await creator(conn)
    await editing.create(conn, owner.id, content())
    await editing.switch(conn, owner.id, "haiku", is_archived=True)
    with pytest.raises(SlugTaken):
        await editing.create(conn, owner.id, content(title="Another product"))
    with pytest.raises(InvalidInput) as caught:
        await editing.replace(conn, owner.id, "haiku", content(slug="other"), revisions=None)
    assert list(caught.value.fields) == ["slug"]
    with pytest.raises(InvalidInput) as caught:
        await editing.publish(conn, owner.id, "haiku")
    assert "archived" in caught.value.fields["slug"]
    with pytest.raises(InvalidInput) as caught:
        await editing.create(conn, owner.id, content(slug="mcp"))
    assert list(caught.value.fields) == ["slug"]


async def test_going_back_checks_what_publishing_checks(conn: db.Connection) -> None:
    """A version that costs more than it sells for today is refused, or repriced with consent; a good one is at once on
    offer, and the draft stays."""
    owner = await creator(conn)
    await publish(conn, owner)
    await publish(conn, owner, price_usdc="1")
    await editing.change(conn, owner.id, "haiku", {"title": "Draft"}, revisions=None)
    back = await editing.publish(conn, owner.id, "haiku", number=1)
    assert (back.resource.offered, back.resource.drafted) == (1, 3)

    await editing.publish(conn, owner.id, "haiku", number=2)
    await add_model(conn, prompt_usd="0.0001", completion_usd="0.001")
    with pytest.raises(InvalidInput) as caught:
        await editing.publish(conn, owner.id, "haiku", number=1)
    assert list(caught.value.fields) == ["price_usdc"]
    await editing.publish(conn, owner.id, "haiku", number=1, allow_loss=True)
    sold = await readiness.resolve(conn, owner.handle, "haiku")
    assert (sold.number, sold.allows_loss) == (1, True)
    assert sold.worst_cost_usd > back.checked.worst_cost_usd
    with pytest.raises(NotFound):
        await editing.publish(conn, owner.id, "haiku", number=9)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"parameters": [{"name": "thing"}], "template": "{thing}{/thing}"}, "parameters"),
        ({"parameters": [{"name": "topic", "type": "enum", "values": ["sea"]}]}, "parameters"),
        ({"parameters": [{"name": "topic"}, {"name": "more"}]}, "parameters"),
        ({"allows_user_message": False}, "allows_user_message"),
    ],
)
async def test_what_breaks_buyers_needs_consent_after_the_first_sale(
    conn: db.Connection, changes: dict[str, Any], field: str
) -> None:
    """By every way to put it on sale; before the first sale nothing is frozen."""
    owner = await creator(conn)
    await publish(conn, owner, allows_user_message=True)
    first = await readiness.resolve(conn, owner.handle, "haiku")
    wanted = content(allows_user_message=True) | changes
    assert await compatibility.breaking(conn, first, drafts.read(wanted)) == {}
    await sell(conn, first)

    await editing.replace(conn, owner.id, "haiku", wanted, revisions=None)
    for refused in (
        editing.publish(conn, owner.id, "haiku"),
        publishing.publish(conn, owner.id, drafts.read(wanted)),
    ):
        with pytest.raises(InvalidInput) as caught:
            await refused
        assert list(caught.value.fields) == [field]
    assert (await editing.publish(conn, owner.id, "haiku", allow_breaking=True)).resource.offered == 2


async def test_what_breaks_nobody(conn: db.Connection) -> None:
    """A new parameter that need not be sent, and text where there was a choice."""
    owner = await creator(conn)
    choice = {"name": "topic", "type": "enum", "values": ["sea", "hill"]}
    await publish(conn, owner, parameters=[choice])
    await sell(conn, await readiness.resolve(conn, owner.handle, "haiku"))
    optional = {"name": "mood", "required": False}
    for wider in (choice | {"values": ["hill", "sea", "sky"]}, {"name": "topic", "required": False}):
        assert (await publish(conn, owner, parameters=[wider, optional])).is_new


async def test_a_failed_switch_is_no_draft(conn: db.Connection) -> None:
    """The candidate of a switch is a version that publishing does not take for the draft."""
    owner = await creator(conn)
    await publish(conn, owner)
    await add_model(conn, id="test/other")
    candidate = await switching.prepare(conn, owner.id, "haiku", "test/other")
    found = await editing.find(conn, owner.id, "haiku")

    assert candidate.version.number == 2
    assert (found.version.number, found.drafted) == (1, None)
    await switching.offer(conn, candidate)
    assert (await readiness.resolve(conn, owner.handle, "haiku")).number == 2


async def test_all_problems_at_once(conn: db.Connection) -> None:
    """Those of the form, the model and the template in one answer, each with the name that may be meant."""
    owner = await creator(conn)
    with pytest.raises(InvalidInput) as caught:
        await editing.create(
            conn,
            owner.id,
            content(
                titel="canary",
                model="test/smal",
                template="{topc}{/topc}",
                modality="jsn",
                parameters=[{"name": "topic", "typ": "text"}],
                tags=["a b"],
            ),
        )
    fields = caught.value.fields
    assert fields["titel"] == "is no field here; did you mean title?"
    assert "did you mean test/small" in fields["model"]
    assert "did you mean json" in fields["modality"]
    assert "did you mean type" in fields["parameters.0.typ"]
    assert "tags.0" in fields
    assert "canary" not in str(fields)

    with pytest.raises(InvalidInput) as caught:
        await publishing.read(conn, owner.id, content(template="{topc}{/topc}", max_output_tokens=20_000, title=""))
    assert set(caught.value.fields) == {"template", "max_output_tokens", "title"}
    assert "did you mean topic" in caught.value.fields["template"]
    await add_model(conn, prompt_usd="1", completion_usd="1")
    with pytest.raises(InvalidInput) as caught:
        await publishing.read(conn, owner.id, content(zdr="perhaps", truncated_from_characters=1))
    assert set(caught.value.fields) == {"zdr", "truncated_from_characters", "price_usdc"}


async def test_a_repeated_request_gets_the_first_answer(conn: db.Connection) -> None:
    """Once for each key and creator; another request under it is refused, and after a day the key is free."""
    ada, bob = await creator(conn), await creator(conn)
    done: list[int] = []

    async def work() -> idempotency.Answer:
        done.append(1)
        return idempotency.Answer(201, {"number": len(done)})

    async def ask(owner: accounts.Account, request: bytes = b"x") -> idempotency.Answer:
        return await idempotency.once(conn, owner.id, "key", request, work)

    first, again, other = await ask(ada), await ask(ada), await ask(bob)
    assert first == again == idempotency.Answer(201, {"number": 1})
    assert other.body == {"number": 2}
    with pytest.raises(KeyReused):
        await ask(ada, b"y")
    await conn.execute("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
    assert (await ask(ada, b"y")).body == {"number": 3}


def test_editors_know_the_form() -> None:
    """The schema takes the documents of the demo and of the docs, and not a misspelt field."""
    validator = jsonschema.Draft202012Validator(document.schema())
    page = (ROOT / "docs" / "creators.md").read_text(encoding="utf-8")
    files = [path.read_text() for path in sorted((ROOT / "deployments" / "demo_resources").glob("*.yaml"))]
    for text in (*files, page.split("```yaml\n", 1)[1].split("```", 1)[0]):
        assert list(validator.iter_errors(yaml.safe_load(text))) == []
    assert not validator.is_valid(content(titel="x"))
    assert not validator.is_valid(content(modality="jsn"))


def test_what_differs_is_told_field_by_field() -> None:
    """The template line by line, everything else before and after."""
    before, after = content(template="a\nb\nc"), content(template="a\nB\nc", price_usdc="0.02")
    (template, price) = document.differences(before, after)

    assert template["field"] == "template"
    assert {"-b", "+B", " a"} <= {*template["lines"]}
    assert price == {"field": "price_usdc", "before": "0.01", "after": "0.02"}
