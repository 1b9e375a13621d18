"""Requests that frameworks answer by themselves, or read half."""

import httpx

from tests.refusals import TOPIC, plain
from tests.shops import Buyer, Shop


async def test_no_redirect_names_a_foreign_host(door: str, shop: Shop, http: httpx.AsyncClient) -> None:
    """A slash too many is 404 (fastapi/fastapi#4990): a redirect to the Host header would send secrets anywhere."""
    for path in (f"{shop.path}/", "/executions/00000000-0000-0000-0000-000000000000/?token=secret"):
        answer = await http.get(door + path, headers={"Host": "evil.example"})
        plain(answer, 404, "not_found")
        assert "Location" not in answer.headers


async def test_head_wherever_get_works(door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient) -> None:
    """HEAD says what GET says, without a body; and it never pays."""
    url = door + shop.path
    paid = {"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC)}
    for path, status in ((shop.path, 402), ("/models", 200), ("/health/live", 200), ("/nothing", 404)):
        get, head = await http.get(door + path), await http.head(door + path, headers=paid)
        assert (head.status_code, head.content) == (status, b"")
        assert head.headers["Content-Length"] == get.headers["Content-Length"]
        assert head.headers.keys() == get.headers.keys()
    plain(await http.get(url, headers=paid), 400, "invalid_input")
    assert (await http.post(url, json=TOPIC, headers=paid)).status_code == 200


async def test_a_target_may_be_a_whole_url(door: str, shop: Shop, http: httpx.AsyncClient) -> None:
    """As clients write it to a proxy (RFC 9112, 3.2.2): the path counts, and the host is not ours to judge."""
    async with httpx.AsyncClient(proxy=door, timeout=30) as through:
        for path in (f"{shop.path}?a=1", "/models", "/nothing"):
            whole, plain_form = await through.get(f"http://shop.example{path}"), await http.get(door + path)
            assert whole.status_code == plain_form.status_code


async def test_a_right_token_beside_a_wrong_one(door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient) -> None:
    """The status token counts in the URL or in the header, whatever the other one is."""
    url = door + shop.path
    sold = await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC)})
    status, _, token = sold.headers["Content-Location"].partition("?token=")

    said = [
        (await http.get(f"{status}?token={query}", headers={"Status-Token": header})).status_code
        for query, header in ((token, "wrong"), ("wrong", token), ("wrong", "wrong"))
    ]
    assert said == [200, 200, 404]


async def test_two_payments_in_one_request(door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient) -> None:
    """Two different payments are malformed, also under one name; the same one twice is one."""
    url = door + shop.path
    first, second = await buyer.pay(url, TOPIC), await buyer.pay(url, TOPIC)

    for name in (b"PAYMENT-SIGNATURE", b"X-PAYMENT"):
        headers = [(b"PAYMENT-SIGNATURE", first.encode()), (name, second.encode())]
        plain(await http.post(url, json=TOPIC, headers=headers), 400, "payment_malformed")
    twice = [(b"PAYMENT-SIGNATURE", first.encode())] * 2
    assert (await http.post(url, json=TOPIC, headers=twice)).status_code == 200
