"""Schemathesis knows the door by its OpenAPI document alone: whatever it sends has a documented answer."""

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest
import schemathesis
from hypothesis import given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from tests.shops import Buyer, Shop

load_all_checks()
CHECKED = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "unsupported_method",
        "ignored_auth",
    ]
)
EXAMPLES = 10

TOPIC = {"topic": "rain"}
# Generated values for these would break the request itself, before it reaches a route.
TRANSPORT = ("connection", "content-length", "host", "transfer-encoding")


@dataclass
class Sale:
    """Existing objects, for requests that should get past the 404."""

    shop: Shop
    execution_id: str
    token: str

    def aim(self, case: schemathesis.Case) -> dict[str, str]:
        """Make a request name existing objects; return the authorization headers, which are not generated."""
        names = {"handle": self.shop.account.handle, "slug": "haiku", "execution_id": self.execution_id}
        case.path_parameters |= {name: names[name] for name in case.path_parameters.keys() & names.keys()}
        if "execution_id" in case.path_parameters:
            case.query["token"] = self.token
        return {"Authorization": f"Bearer {self.shop.token}"} if case.operation.path.startswith("/me") else {}


@pytest.fixture
async def sale(shop: Shop, door: str) -> Sale:
    """A shop with one sale."""
    async with (await Buyer().fund()).client(timeout=30) as http:
        sold = await http.post(door + shop.path, json=TOPIC, headers={"Prefer": "wait=20"})
    assert sold.status_code == 200, sold.text
    url = urlsplit(sold.headers["Content-Location"])
    return Sale(shop, url.path.rpartition("/")[2], parse_qs(url.query)["token"][0])


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("aimed", [False, True])
def test_whatever_is_sent(document: schemathesis.BaseSchema, sale: Sale, mode: GenerationMode, aimed: bool) -> None:
    """Send valid and invalid requests, to existing and unknown paths, with and without the owner's token."""
    for operation in (found.ok() for found in document.get_all_operations()):
        if mode is GenerationMode.NEGATIVE and not any(operation.iter_parameters()):
            continue  # this route has no invalid request

        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: schemathesis.Case) -> None:
            for name in TRANSPORT:
                case.headers.pop(name, None)
            case.call_and_validate(checks=CHECKED, headers=sale.aim(case) if aimed else {})

        ask()


@pytest.mark.parametrize("path", ["/me/executions", "/me/usage", "/models"])
def test_what_a_query_may_say(document: schemathesis.BaseSchema, sale: Sale, path: str) -> None:
    """Every query that the document allows is accepted."""

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
    @given(case=document[path]["GET"].as_strategy(generation_mode=GenerationMode.POSITIVE))
    def ask(case: schemathesis.Case) -> None:
        for name in ("cursor", "since", "until"):  # it is signed, and they have an order, which no schema says
            case.query.pop(name, None)
        answer = case.call(headers=sale.aim(case))
        assert answer.status_code == 200, (case.query, answer.text)

    ask()
