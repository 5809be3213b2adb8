"""The receiver writes a signed, well-formed, new delivery to disk before it answers, and refuses everything else."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from invsync import webhooks
from invsync.config.settings import OmsSettings, ShopSettings
from invsync.errors import UsageError
from invsync.inbox import Heard, Inbox
from invsync.state import State
from invsync.webhooks.receiver import MAX_BODY, create_app

SECRET, BEFORE = "planted-secret-of-now", "planted-secret-of-before"
DOMAIN = "demo.myshopify.com"
SHOP = ShopSettings(domain=DOMAIN, token_env="T", webhook_secret_env="W", oms=OmsSettings(shop_id="X"))
LEVEL = {"inventory_item_id": 2**60 + 1, "location_id": 7, "available": 3, "updated_at": "2026-11-23T12:00:00-05:00"}
PAYLOADS = {
    "inventory_levels/update": LEVEL,
    "orders/create": {"id": 5_000_000_001, "updated_at": "2026-11-23T12:00:00Z"},
    "orders/cancelled": {"id": 5_000_000_002, "updated_at": "2026-11-23T12:00:00Z"},
    "bulk_operations/finish": {"admin_graphql_api_id": "gid://shopify/BulkOperation/1", "status": "completed"},
}


def signature(body: bytes, secret: str = SECRET) -> str:
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


class Sender:
    """Sends deliveries as Shopify and an OMS do, and looks at what the inbox holds."""

    def __init__(self, client: TestClient, inbox: Inbox) -> None:
        self.client, self.inbox = client, inbox
        self.sent = 0

    def shopify(
        self,
        payload: Any = LEVEL,
        topic: str = "inventory_levels/update",
        *,
        body: bytes | None = None,
        secret: str = SECRET,
        **headers: str,
    ) -> Any:
        body = json.dumps(payload).encode() if body is None else body
        self.sent += 1
        sent = {
            "x-shopify-topic": topic,
            "x-shopify-shop-domain": DOMAIN,
            "x-shopify-webhook-id": f"d{self.sent}",
            "x-shopify-hmac-sha256": signature(body, secret),
        }
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post("/webhooks/shopify", content=body, headers=sent)

    def oms(self, payload: Any, secret: str = SECRET) -> Any:
        body = json.dumps(payload).encode()
        return self.client.post(
            "/webhooks/oms", content=body, headers={"X-Invsync-Hmac-Sha256": signature(body, secret)}
        )

    def waiting(self) -> list[dict[str, Any]]:
        return self.inbox.waiting("demo").to_dicts()


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[Sender]:
    state = State(f"sqlite:///{tmp_path}/invsync.db")
    inbox = Inbox(state.engine)
    with TestClient(create_app("demo", SHOP, [SECRET, BEFORE], inbox)) as client:
        yield Sender(client, inbox)
    state.close()


@pytest.mark.parametrize("topic", PAYLOADS)
def test_a_delivery_of_each_topic_is_kept(sender: Sender, topic: str) -> None:
    answer = sender.shopify(PAYLOADS[topic], topic)

    assert (answer.status_code, answer.json()) == (200, {"status": "accepted"})
    assert [row["topic"] for row in sender.waiting()] == [topic]


def test_a_level_is_kept_by_its_pair_with_ids_beyond_53_bits(sender: Sender) -> None:
    sender.shopify()

    row = sender.waiting()[0]
    assert (row["inventory_item_id"], row["location_id"], row["available"]) == (2**60 + 1, 7, 3)
    assert row["updated_at"].isoformat() == "2026-11-23T17:00:00+00:00"


def test_an_order_is_kept_by_its_id(sender: Sender) -> None:
    sender.shopify(PAYLOADS["orders/create"], "orders/create")

    assert sender.waiting()[0]["order_id"] == 5_000_000_001


def test_a_stock_event_of_the_oms_is_kept_by_its_product(sender: Sender) -> None:
    answer = sender.oms({"event_id": "10012/00003", "product_id": "P1", "facility_id": "WH"})

    assert answer.json() == {"status": "accepted"}
    assert sender.waiting()[0]["product_id"] == "P1"


def test_the_previous_secret_still_signs_during_a_rotation(sender: Sender) -> None:
    assert sender.shopify(secret=BEFORE).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"x_shopify_hmac_sha256": "AAAA"},
        {"x_shopify_hmac_sha256": ""},
        {"x_shopify_hmac_sha256": "é"},
        {"x_shopify_shop_domain": "other.myshopify.com"},
        {"x_shopify_shop_domain": ""},
    ],
)
def test_a_forged_delivery_or_one_of_another_shop_is_refused(sender: Sender, headers: dict[str, str]) -> None:
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}

    assert sender.shopify(**encoded).status_code == 401  # type: ignore[arg-type]
    assert sender.waiting() == []


def test_a_changed_body_is_refused(sender: Sender) -> None:
    signed = signature(json.dumps(LEVEL).encode())

    assert sender.shopify(LEVEL | {"available": 99}, x_shopify_hmac_sha256=signed).status_code == 401


def test_an_event_that_another_secret_signed_is_refused(sender: Sender) -> None:
    assert sender.oms({"event_id": "1", "product_id": "P1"}, secret="guess").status_code == 401
    assert sender.waiting() == []


def test_a_repeated_delivery_is_kept_once(sender: Sender) -> None:
    answers = [sender.shopify(x_shopify_webhook_id="same").json()["status"] for _ in range(3)]

    assert answers == ["accepted", "duplicate", "duplicate"]
    assert len(sender.waiting()) == 1


def test_a_signed_body_replayed_under_another_id_and_topic_is_a_duplicate(sender: Sender) -> None:
    sender.shopify(PAYLOADS["orders/create"], "orders/create")
    sender.inbox.cover("demo", [row["number"] for row in sender.waiting()], "run")

    again = sender.shopify(PAYLOADS["orders/create"], "orders/cancelled")

    assert (again.status_code, again.json()) == (200, {"status": "duplicate"})
    assert sender.waiting() == []


def test_a_replayed_event_of_the_oms_is_a_duplicate(sender: Sender) -> None:
    event = {"event_id": "10012/00003", "product_id": "P1"}

    assert [sender.oms(event).json()["status"] for _ in range(2)] == ["accepted", "duplicate"]


def test_events_without_an_id_are_each_kept(sender: Sender) -> None:
    assert [sender.oms({"product_id": "P1"}).json()["status"] for _ in range(2)] == ["accepted", "accepted"]


MALFORMED = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff",
    b'"text"',
    b"[" * 100_000,
    json.dumps(LEVEL | {"inventory_item_id": "7"}).encode(),
    json.dumps(LEVEL | {"location_id": 0}).encode(),
    json.dumps(LEVEL | {"inventory_item_id": True}).encode(),
    json.dumps(LEVEL | {"location_id": 2**63}).encode(),
    json.dumps(LEVEL | {"available": 1.5}).encode(),
    json.dumps(LEVEL | {"updated_at": "yesterday"}).encode(),
    json.dumps(LEVEL | {"updated_at": "2026-11-23T12:00:00"}).encode(),
    b'{"location_id": 7}',
    b'{"a": ' + b"9" * 5000 + b"}",
]


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: repr(body[:40]))
def test_a_malformed_delivery_is_refused_with_its_fault(sender: Sender, body: bytes) -> None:
    answer = sender.shopify(body=body)

    assert answer.status_code == 400 and answer.json()["why"]
    assert sender.waiting() == []


def test_an_unknown_topic_is_refused(sender: Sender) -> None:
    assert sender.shopify(topic="products/update").status_code == 400


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"product_id": ""},
        {"product_id": 7},
        {"product_id": "a\0b"},
        {"product_id": "x" * 201},
        {"product_id": "P1", "event_id": 7},
    ],
)
def test_a_malformed_event_of_the_oms_is_refused(sender: Sender, event: dict[str, Any]) -> None:
    assert sender.oms(event).status_code == 400


def test_a_delivery_id_that_is_too_long_is_refused(sender: Sender) -> None:
    assert sender.shopify(x_shopify_webhook_id="x" * 300).status_code == 400


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused(sender: Sender, chunked: bool) -> None:
    body = b" " * (MAX_BODY + 1)
    parts = iter([body[:1000], body[1000:]])
    headers = {"x-shopify-hmac-sha256": signature(body)}

    answer = sender.client.post("/webhooks/shopify", content=parts if chunked else body, headers=headers)

    assert answer.status_code == 413
    assert sender.waiting() == []


def test_a_lost_database_is_answered_with_503(sender: Sender) -> None:
    with sender.inbox._engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE webhook")

    assert sender.shopify().status_code == 503


def test_a_database_that_is_read_only_for_a_while_is_named_and_later_deliveries_are_taken(sender: Sender) -> None:
    def read_only(connection: Any, *_: object) -> None:
        connection.execute("PRAGMA query_only = on")

    sa.event.listen(sender.inbox._engine, "checkout", read_only)
    refused = sender.shopify()
    sa.event.remove(sender.inbox._engine, "checkout", read_only)
    sender.inbox._engine.dispose()

    assert (refused.status_code, sender.shopify().status_code) == (503, 200)
    assert "cannot be written" in refused.json()["why"]


def test_health_shows_how_many_wait(sender: Sender) -> None:
    sender.shopify()

    assert sender.client.get("/healthz").json() == {"status": "ok", "shop": "demo", "waiting": 1}


def test_no_answer_shows_a_secret(sender: Sender) -> None:
    answers = [sender.shopify(secret="guess"), sender.shopify(body=b"{"), sender.oms({}), sender.client.get("/healthz")]

    assert not [answer.text for answer in answers if SECRET in answer.text or BEFORE in answer.text]


def test_a_covered_delivery_is_remembered_and_waits_no_more(sender: Sender) -> None:
    sender.shopify(PAYLOADS["orders/create"], "orders/create")
    row = sender.waiting()[0]
    sender.inbox.cover("demo", [row["number"]], "run")

    assert sender.inbox.count("demo") == 0
    assert sender.inbox.orders("demo", row["heard_at"]) == [5_000_000_001]


def test_each_shop_has_its_own_deliveries(sender: Sender) -> None:
    sender.inbox.add([Heard("other", "d1", "orders/create", order_id=1)])

    assert sender.waiting() == []
    assert sender.shopify(x_shopify_webhook_id="d1").json() == {"status": "accepted"}


def test_secrets_are_the_named_one_and_the_previous_one() -> None:
    environ = {"W": SECRET, "W_PREVIOUS": BEFORE}

    assert webhooks.secrets("demo", SHOP, environ) == [SECRET, BEFORE]
    assert webhooks.secrets("demo", SHOP, {"W": SECRET}) == [SECRET]


def test_a_shop_without_a_secret_for_webhooks_is_a_usage_error() -> None:
    shop = ShopSettings(domain=DOMAIN, token_env="T", oms=OmsSettings(shop_id="X"))

    with pytest.raises(UsageError, match="set webhook_secret_env"):
        webhooks.secrets("demo", shop, {})
