"""A call to Shopify is authorised, paced, and repeated by the kind of its failure."""

import json
import traceback
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from invsync.config.settings import OmsSettings, ShopSettings
from invsync.errors import ShopifyFailed, UsageError
from invsync.shopify.client import Client
from invsync.shopify.retry import TooCostly, Unanswered

TOKEN, KEY = "shpat_very_secret", "app_key_secret"
Handler = Callable[[httpx.Request], httpx.Response]
QUERY = "query q { shop { id } }"
FINE = {"data": {"shop": {"id": "gid://shopify/Shop/1"}}}


def opened(handler: Handler, *, app: bool = False, read_only: bool = False) -> tuple[Client, list[float]]:
    waits: list[float] = []
    way_in: dict[str, Any] = {"client_id": "app", "client_secret_env": "KEY"} if app else {"token_env": "TOKEN"}
    shop = ShopSettings(domain="acme.myshopify.com", oms=OmsSettings(shop_id="S"), **way_in)
    client = Client.open(
        shop,
        secrets={"TOKEN": TOKEN, "KEY": KEY},
        sleep=waits.append,
        read_only=read_only,
        transport_override=httpx.MockTransport(handler),
    )
    return client, waits


def answers(*given: httpx.Response | Exception) -> tuple[Handler, list[httpx.Request]]:
    """A handler that gives these answers in turn (the last one for ever), and the requests it saw."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        answer = given[min(len(seen), len(given)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    return handler, seen


def ok(body: Any = FINE, version: str = "2026-10") -> httpx.Response:
    return httpx.Response(200, json=body, headers={"X-Shopify-API-Version": version})


def refused(code: str, message: str = "no", cost: dict[str, Any] | None = None) -> httpx.Response:
    body: dict[str, Any] = {"errors": [{"message": message, "extensions": {"code": code}}]}
    return ok(body | ({"extensions": {"cost": cost}} if cost else {}))


def status(available: float, maximum: float = 2000.0) -> dict[str, float]:
    return {"maximumAvailable": maximum, "currentlyAvailable": available, "restoreRate": 100.0}


def test_a_call_carries_the_token_and_the_version() -> None:
    handler, seen = answers(ok())
    client, _ = opened(handler)

    assert client.answer(QUERY, {}) == FINE
    assert seen[0].headers["X-Shopify-Access-Token"] == TOKEN
    assert seen[0].url == "https://acme.myshopify.com/admin/api/2026-10/graphql.json"
    assert client.api_version_served == "2026-10"


@pytest.mark.parametrize(
    "cut",
    [
        httpx.Response(500),
        httpx.Response(502),
        httpx.Response(503),
        httpx.Response(504),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut"),
        httpx.ConnectError("down"),
        refused("INTERNAL_SERVER_ERROR"),
        ok([]),
    ],
    ids=str,
)
def test_a_call_without_an_answer_is_sent_again_with_the_same_body(cut: httpx.Response | Exception) -> None:
    handler, seen = answers(cut, cut, ok())
    client, waits = opened(handler)

    assert client.answer(QUERY, {"key": "a"}) == FINE
    assert len({r.content for r in seen}) == 1 and len(seen) == 3
    assert len(waits) == 2 and 0 < waits[0] <= 1.0 and 1.0 <= waits[1] <= 2.0


def test_six_calls_without_an_answer_leave_the_outcome_unknown() -> None:
    handler, seen = answers(httpx.ReadError("cut"))
    client, _ = opened(handler)

    with pytest.raises(Unanswered, match="no answer in 6 tries"):
        client.answer(QUERY, {})
    assert len(seen) == 6


def test_a_throttled_call_waits_exactly_until_its_cost_fits() -> None:
    cost = {"requestedQueryCost": 752, "actualQueryCost": None, "throttleStatus": status(502)}
    handler, _ = answers(refused("THROTTLED", cost=cost), ok())
    client, waits = opened(handler)

    client.answer(QUERY, {})
    assert waits == [pytest.approx(2.5)]


def test_http_429_waits_as_long_as_it_says() -> None:
    handler, _ = answers(httpx.Response(429, headers={"Retry-After": "7"}), ok())
    client, waits = opened(handler)

    client.answer(QUERY, {})
    assert waits == [7.0]


def test_throttling_has_no_count_limit_but_a_time_budget() -> None:
    handler, _ = answers(httpx.Response(429, headers={"Retry-After": "30"}))
    client, waits = opened(handler)

    with pytest.raises(Unanswered, match="600 seconds"):
        client.answer(QUERY, {})
    assert waits == [30.0] * 20


def test_the_next_call_waits_for_points_before_it_is_sent() -> None:
    cost = {"requestedQueryCost": 300, "actualQueryCost": 300, "throttleStatus": status(100)}
    handler, seen = answers(ok(FINE | {"extensions": {"cost": cost}}))
    client, waits = opened(handler)

    client.answer(QUERY, {})
    assert waits == []
    client.answer(QUERY, {})
    assert waits == [pytest.approx(2.0, abs=0.1)] and len(seen) == 2


def test_a_cost_above_the_bucket_is_not_waited_for() -> None:
    cost = {"requestedQueryCost": 5000, "throttleStatus": status(2000)}
    client, waits = opened(answers(refused("THROTTLED", cost=cost))[0])

    with pytest.raises(TooCostly):
        client.answer(QUERY, {})
    assert waits == []


def test_another_version_served_stops_the_run_and_names_both() -> None:
    client, _ = opened(answers(ok(version="2026-01"))[0])

    with pytest.raises(ShopifyFailed, match=r"served API version 2026-01.* but 2026-10.*set api_version"):
        client.answer(QUERY, {})


def test_a_refused_static_token_is_fatal_and_never_printed() -> None:
    client, _ = opened(answers(httpx.Response(401, json={"errors": f"bad {TOKEN}"}))[0])

    with pytest.raises(ShopifyFailed, match="token") as caught:
        client.answer(QUERY, {})
    assert TOKEN not in "".join(traceback.format_exception(caught.value)) + repr(client)


def test_server_messages_are_printed_without_the_token() -> None:
    client, _ = opened(answers(refused("BAD", f"header {TOKEN} is odd"))[0])

    with pytest.raises(ShopifyFailed, match="odd") as caught:
        client.data("locations", {"after": None})
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(403, json={"errors": "requires `read_orders` access scope"}),
        refused("ACCESS_DENIED", "Access denied. Required access: `read_orders` access scope."),
    ],
    ids=["http", "graphql"],
)
def test_a_missing_scope_is_named(answer: httpx.Response) -> None:
    client, _ = opened(answers(answer)[0])

    with pytest.raises(ShopifyFailed, match=r"lacks the scope read_orders:"):
        client.answer(QUERY, {})


@pytest.mark.parametrize("code", [302, 402, 404, 423, 430])
def test_other_statuses_are_fatal_at_once(code: int) -> None:
    handler, seen = answers(httpx.Response(code))
    client, _ = opened(handler)

    with pytest.raises(ShopifyFailed, match=str(code)):
        client.answer(QUERY, {})
    assert len(seen) == 1


PROTECTED = "This app is not approved to access the Order object. See https://shopify.dev/protected-customer-data"
MAINTENANCE = "<html><head><title>Sorry</title></head><body><h1>We'll be right back.</h1></body></html>"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (refused("ACCESS_DENIED", PROTECTED), f"{PROTECTED}: request access to protected customer data"),
        (refused("ACCESS_DENIED", "This app is not approved to use the email field."), "request access to protected"),
        (refused("ACCESS_DENIED", "The app is paused."), "acme.myshopify.com: The app is paused: see that the app"),
        (httpx.Response(403, text=f"<p>Blocked for {TOKEN}</p>"), "acme.myshopify.com: Blocked for [hidden]: see"),
        (httpx.Response(402, json={"errors": "Unavailable Shop"}), "(Unavailable Shop), the shop is frozen"),
        (httpx.Response(423, json={"errors": "Locked\nby us"}), "(Locked by us), the shop is locked"),
        (httpx.Response(404, json={"errors": "Not Found"}), "(Not Found), no such shop or address: check the domain."),
        (httpx.Response(430, text="Security rejection"), "(Security rejection), Shopify's security rejected"),
        (httpx.Response(302, headers={"Location": "https://x.example/password"}), "sends us on to x.example/password"),
        (httpx.Response(401, json={"errors": "[API] Unknown app"}), "(HTTP 401: [API] Unknown app): correct or renew"),
        (httpx.Response(503, text=MAINTENANCE), "6 tries (HTTP 503: Sorry We'll be right back): run again"),
        (httpx.Response(500, json={"errors": "Oh"}, headers={"X-Request-Id": "a1-b2"}), "HTTP 500: Oh (request a1-b2)"),
        (httpx.Response(200, text=MAINTENANCE), "an answer without a result, HTTP 200: Sorry We'll be right back"),
        (
            refused("INTERNAL_SERVER_ERROR", "Internal error.\nRequest ID: 1b35-aa"),
            "Internal error. Request ID: 1b35-aa",
        ),
        (refused("BAD", "x" * 10_000), "x" * 500 + "…: correct the request."),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(getattr(value, "status_code", value)),
)
def test_the_error_quotes_shopifys_own_words(answer: httpx.Response, words: str) -> None:
    client, _ = opened(answers(answer)[0])

    with pytest.raises(ShopifyFailed) as raised:
        client.data("locations", {"after": None})

    message = str(raised.value)
    assert words in message and "\n" not in message
    assert TOKEN not in message and "<" not in message


def app_shop(lives: list[float], accepted: Callable[[str], bool]) -> tuple[Handler, list[dict[str, list[str]]]]:
    """A shop that grants tokens t1, t2, ... and accepts only some."""
    forms: list[dict[str, list[str]]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/admin/oauth/access_token":
            forms.append(parse_qs(request.content.decode()))
            body = {"access_token": f"t{len(forms)}", "expires_in": lives[len(forms) - 1]}
            return httpx.Response(200, json=body)
        return ok() if accepted(request.headers["X-Shopify-Access-Token"]) else httpx.Response(401)

    return handler, forms


def test_client_credentials_are_fetched_once_and_shared() -> None:
    handler, forms = app_shop([86_399.0], lambda token: token == "t1")
    client, _ = opened(handler, app=True)

    client.answer(QUERY, {})
    client.answer(QUERY, {})
    assert forms == [{"grant_type": ["client_credentials"], "client_id": ["app"], "client_secret": [KEY]}]


def test_a_token_is_renewed_before_it_ends() -> None:
    handler, forms = app_shop([1e-9, 3600.0], lambda token: True)
    client, _ = opened(handler, app=True)

    client.answer(QUERY, {})
    client.answer(QUERY, {})
    assert len(forms) == 2


def test_a_refused_token_is_renewed_once() -> None:
    handler, forms = app_shop([3600.0] * 2, lambda token: token == "t2")
    client, _ = opened(handler, app=True)

    assert client.answer(QUERY, {}) == FINE
    assert len(forms) == 2


def test_a_second_refusal_is_fatal() -> None:
    handler, forms = app_shop([3600.0] * 2, lambda token: False)
    client, _ = opened(handler, app=True)

    with pytest.raises(ShopifyFailed, match="token"):
        client.answer(QUERY, {})
    assert len(forms) == 2


def test_a_refused_app_secret_is_fatal_and_never_printed() -> None:
    client, _ = opened(answers(httpx.Response(400, text=KEY))[0], app=True)

    with pytest.raises(ShopifyFailed, match="client_id app") as caught:
        client.answer(QUERY, {})
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_an_unset_variable_is_a_usage_error() -> None:
    shop = ShopSettings(domain="acme.myshopify.com", token_env="TOKEN", oms=OmsSettings(shop_id="S"))

    with pytest.raises(UsageError, match="TOKEN"):
        Client.open(shop, secrets={})


@pytest.mark.parametrize(
    "text",
    [
        "mutation m { a }",
        "# query\nmutation{a}",
        '{ shop { id } } mutation m($a: ID = "x") { b }',
        "fragment f on Shop { id } mutation m { a }",
    ],
)
def test_a_read_only_client_refuses_every_mutation(text: str) -> None:
    handler, seen = answers(ok())
    client, _ = opened(handler, read_only=True)

    with pytest.raises(ShopifyFailed, match="read-only"):
        client.answer(text, {})
    assert seen == []


def test_a_read_only_client_reads() -> None:
    client, _ = opened(answers(ok())[0], read_only=True)

    assert client.answer("query q { mutation: shop { id } }", {}) == FINE


def test_variables_keep_their_order_and_nulls() -> None:
    handler, seen = answers(ok())
    client, _ = opened(handler)

    client.answer(QUERY, {"b": None, "a": "é"})
    assert seen[0].content.endswith('"variables": {"b": null, "a": "é"}}'.encode())
    assert json.loads(seen[0].content)["query"] == QUERY
