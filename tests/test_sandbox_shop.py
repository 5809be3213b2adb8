"""The sandbox's shop over real loopback HTTP, as Shopify's own server would answer."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from invsync.sandbox.server import serve
from invsync.sandbox.shop import Shop

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ADJUST = """mutation call($input: InventoryAdjustQuantitiesInput!, $idempotencyKey: String!) {
  inventoryAdjustQuantities(input: $input) @idempotent(key: $idempotencyKey) {
    inventoryAdjustmentGroup { id reason referenceDocumentUri changes { name delta
      quantityAfterChange item { id } } }
    userErrors { code field message } } }"""
LEVELS = """query($ids: [ID!]!) { nodes(ids: $ids) { ... on InventoryItem { id sku tracked
  variants(first: 1) { nodes { requiresComponents } }
  a: inventoryLevel(locationId: "gid://shopify/Location/1", includeInactive: true) {
    isActive quantities(names: ["available"]) { name quantity } }
  b: inventoryLevel(locationId: "gid://shopify/Location/2") { isActive } } } }"""
ORDERS = """query($q: String!, $n: Int!, $after: String) { orders(query: $q, first: $n, after: $after,
  sortKey: UPDATED_AT) { pageInfo { hasNextPage endCursor } nodes { id name createdAt
  lineItems(first: 1) { nodes { id currentQuantity quantity variant { inventoryItem { id } } }
    pageInfo { hasNextPage endCursor } }
  fulfillmentOrders(first: 5) { nodes { status assignedLocation { location { id } }
    lineItems(first: 5) { nodes { inventoryItemId totalQuantity remainingQuantity }
      pageInfo { hasNextPage } } } pageInfo { hasNextPage } } } } }"""


class Client:
    """A client that posts documents to a served shop."""

    def __init__(self, base: str, shop: Shop) -> None:
        self.base, self.shop, self.http = base, shop, httpx.Client()

    def post(self, query: str, variables: dict[str, Any] | None = None, version: str = "2026-10") -> httpx.Response:
        return self.http.post(
            f"{self.base}/admin/api/{version}/graphql.json",
            json={"query": query, "variables": variables or {}},
            headers={"X-Shopify-Access-Token": self.shop.token},
        )

    def data(self, query: str, variables: dict[str, Any] | None = None) -> Any:
        answer = self.post(query, variables).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def adjust(self, *changes: dict[str, Any], key: str = "k", reason: str = "correction") -> Any:
        variables = {"input": adjustment(*changes, reason=reason), "idempotencyKey": key}
        return self.data(ADJUST, variables)["inventoryAdjustQuantities"]

    def upload(self, lines: list[Any]) -> str:
        target = self.data(
            """mutation { stagedUploadsCreate(input: [{resource: BULK_MUTATION_VARIABLES, filename: "a.jsonl",
            mimeType: "text/jsonl", httpMethod: POST}]) { stagedTargets { url resourceUrl
              parameters { name value } }
            userErrors { message } } }"""
        )["stagedUploadsCreate"]["stagedTargets"][0]
        fields = {p["name"]: p["value"] for p in target["parameters"]}
        text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
        answer = self.http.post(target["url"], data=fields, files={"file": ("a.jsonl", text)})
        assert answer.status_code == 201 and f"<Key>{fields['key']}</Key>" in answer.text
        return fields["key"]

    def run_bulk(self, lines: list[Any]) -> str:
        started = self.data(
            """mutation($m: String!, $p: String!) { bulkOperationRunMutation(mutation: $m,
              stagedUploadPath: $p,
            clientIdentifier: "invsync-run-1") { bulkOperation { id status } userErrors { code } } }""",
            {"m": ADJUST, "p": self.upload(lines)},
        )["bulkOperationRunMutation"]
        assert started["userErrors"] == []
        return str(started["bulkOperation"]["id"])

    def poll(self, operation: str) -> Any:
        return self.data(
            "query($id: ID!) { bulkOperation(id: $id) { status url partialDataUrl objectCount errorCode } }",
            {"id": operation},
        )["bulkOperation"]

    def result(self, url: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.http.get(url).text.splitlines()]


def change(item: int, delta: int, expected: int | None, location: int = 1) -> dict[str, Any]:
    return {
        "inventoryItemId": f"gid://shopify/InventoryItem/{item}",
        "locationId": f"gid://shopify/Location/{location}",
        "delta": delta,
        "changeFromQuantity": expected,
    }


def adjustment(*changes: dict[str, Any], reason: str = "correction") -> dict[str, Any]:
    return {
        "reason": reason,
        "name": "available",
        "referenceDocumentUri": "gid://invsync/Run/r1",
        "changes": list(changes),
    }


@pytest.fixture
def shop() -> Shop:
    shop = Shop(clock=lambda: NOON)
    shop.add_location(1, "Web")
    shop.add_location(2, "Store")
    for item in range(1, 6):
        shop.add_item(item, f"SKU{item}", tracked=item != 4, requires_components=item == 5)
        shop.set_level(item, 1, 10 * item)
    shop.set_level(1, 2, 3, active=False)
    return shop


@pytest.fixture
def client(shop: Shop) -> Iterator[Client]:
    with serve(shop) as base:
        yield Client(base, shop)


def test_wrong_token_is_401_and_client_credentials_give_the_right_one(client: Client) -> None:
    wrong = client.http.post(f"{client.base}/admin/api/2026-10/graphql.json", json={"query": "{shop{name}}"})
    form = {"grant_type": "client_credentials", "client_id": "sandbox", "client_secret": "sandbox-secret"}
    granted = client.http.post(f"{client.base}/admin/oauth/access_token", data=form).json()
    assert wrong.status_code == 401
    assert granted["access_token"] == client.shop.token and granted["expires_in"] == 86399


def test_retired_version_falls_forward(client: Client) -> None:
    answer = client.post("{ shop { name } }", version="2025-07")
    assert answer.headers["X-Shopify-API-Version"] == "2026-01"
    assert answer.json()["data"]["shop"]["name"] == "Sandbox"
    assert client.post("{ shop { name } }", version="banana").status_code == 404


def test_levels_by_ids_hide_inactive_ones_unless_requested(client: Client) -> None:
    ids = [f"gid://shopify/InventoryItem/{n}" for n in (1, 5, 99)]
    one, bundle, unknown = client.data(LEVELS, {"ids": ids})["nodes"]
    assert one["a"] == {"isActive": True, "quantities": [{"name": "available", "quantity": 10}]}
    assert one["b"] is None and unknown is None
    assert bundle["variants"]["nodes"][0]["requiresComponents"] is True


def test_nodes_takes_at_most_250_ids(client: Client) -> None:
    answer = client.post(LEVELS, {"ids": ["gid://shopify/InventoryItem/1"] * 251})
    assert answer.status_code == 200
    assert answer.json()["errors"][0]["extensions"]["code"] == "MAX_INPUT_SIZE_EXCEEDED"


def test_adjust_applies_once_per_key_and_keeps_a_journal(client: Client, shop: Shop) -> None:
    first = client.adjust(change(1, -4, 10), change(2, 5, None))
    again = client.adjust(change(1, -4, 10), change(2, 5, None))
    assert first == again and first["userErrors"] == []
    assert first["inventoryAdjustmentGroup"]["reason"] == "Inventory correction"
    rows = first["inventoryAdjustmentGroup"]["changes"]
    assert [r["name"] for r in rows] == ["available", "on_hand"] * 2
    assert {r["quantityAfterChange"] for r in rows} == {None}
    assert [(j["before"], j["after"], j["reference"]) for j in shop.journal] == [
        (10, 6, "gid://invsync/Run/r1"),
        (20, 25, "gid://invsync/Run/r1"),
    ]


def test_one_stale_change_stops_the_whole_batch_and_burns_the_key(client: Client, shop: Shop) -> None:
    failed = client.adjust(change(1, 1, 10), change(2, 1, 99))
    assert failed["inventoryAdjustmentGroup"] is None and shop.available(1, 1) == 10
    assert failed["userErrors"][0]["code"] == "CHANGE_FROM_QUANTITY_STALE"
    assert failed["userErrors"][0]["field"] == ["input", "changes", "1", "changeFromQuantity"]
    again = client.adjust(change(1, 1, 10), change(2, 1, 99))
    assert again["userErrors"][0]["code"] == "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        (change(99, 1, 0), "INVALID_INVENTORY_ITEM", "inventoryItemId"),
        (change(1, 1, 0, location=9), "INVALID_LOCATION", "locationId"),
        (change(5, 1, 50), "NON_MUTABLE_INVENTORY_ITEM", "inventoryItemId"),
        (change(3, 1, 30), "NON_MUTABLE_INVENTORY_ITEM", "inventoryItemId"),
    ],
)
def test_refusals_name_the_change(client: Client, shop: Shop, given: dict[str, Any], code: str, path: str) -> None:
    shop.refuse.add(3)
    error = client.adjust(change(1, 1, 10), given)["userErrors"][0]
    assert (error["code"], error["field"]) == (code, ["input", "changes", "1", path])


def test_a_batch_can_be_refused_without_a_name(client: Client, shop: Shop) -> None:
    shop.spoil.add(3)
    (error,) = client.adjust(change(1, 1, 10), change(3, 1, 30))["userErrors"]
    assert (error["code"], error["field"]) == ("ADJUST_QUANTITIES_FAILED", ["input"]) and shop.journal == []


def test_unknown_reason_is_refused(client: Client) -> None:
    assert client.adjust(change(1, 1, 10), reason="because")["userErrors"][0]["code"] == "INVALID_REASON"


def test_key_with_other_parameters_is_a_mismatch_and_is_forgotten_after_a_day(client: Client, shop: Shop) -> None:
    client.adjust(change(1, 1, 10))
    other = client.adjust(change(1, 2, 11))["userErrors"][0]
    assert (other["code"], other["field"]) == ("IDEMPOTENCY_KEY_PARAMETER_MISMATCH", None)
    shop.clock = lambda: NOON + timedelta(hours=24)
    assert client.adjust(change(1, 2, 11))["userErrors"] == []


def test_a_forgotten_key_executes_again(client: Client, shop: Shop) -> None:
    client.adjust(change(1, 1, None))
    shop.faults.arm("key_forgotten")
    assert client.adjust(change(1, 1, None)) and client.adjust(change(1, 1, None))["userErrors"] == []
    assert len(shop.journal) == 2 and shop.available(1, 1) == 12


def test_a_key_in_progress_is_a_concurrent_request(client: Client, shop: Shop) -> None:
    shop.faults.arm("concurrent")
    assert client.adjust(change(1, 1, 10))["userErrors"][0]["code"] == "IDEMPOTENCY_CONCURRENT_REQUEST"
    assert client.adjust(change(1, 1, 10))["userErrors"] == [] and len(shop.journal) == 1


def test_a_broken_runtime_rule_is_a_top_level_error(client: Client) -> None:
    bare = ADJUST.replace(" @idempotent(key: $idempotencyKey)", "").replace(", $idempotencyKey: String!", "")
    incomplete = change(1, 1, 1)
    del incomplete["changeFromQuantity"]
    requests = [
        (bare, {"input": adjustment(change(1, 1, 1))}),
        (ADJUST, {"input": adjustment(incomplete), "idempotencyKey": "k"}),
        (ADJUST, {"input": adjustment(*[change(1, 1, None)] * 251), "idempotencyKey": "k"}),
    ]
    answers = [client.post(*one) for one in requests]
    codes = [answer.json()["errors"][0]["extensions"]["code"] for answer in answers]
    assert codes == ["BAD_REQUEST", "INVALID_FIELD_ARGUMENTS", "MAX_INPUT_SIZE_EXCEEDED"]
    assert {answer.status_code for answer in answers} == {200}


def test_inactive_and_missing_levels_can_be_adjusted_and_stay_inactive(client: Client, shop: Shop) -> None:
    assert client.adjust(change(1, 2, 3, location=2), change(2, 7, 0, location=2))["userErrors"] == []
    assert (shop.available(1, 2), shop.available(2, 2), shop.levels[2, 2].active) == (5, 7, False)


def test_activate_keeps_quantities(client: Client, shop: Shop) -> None:
    client.data(
        """mutation { inventoryActivate(inventoryItemId: "gid://shopify/InventoryItem/1",
        locationId: "gid://shopify/Location/2") @idempotent(key: "a") { inventoryLevel { isActive }
        userErrors { message } } }"""
    )
    assert shop.levels[1, 2].active and shop.available(1, 2) == 3


def test_orders_take_stock_and_are_searched_to_the_second(client: Client, shop: Shop) -> None:
    shop.place_order(70, "#70", NOON.replace(microsecond=900_000), [(1, 2), (4, 1)], 1)
    shop.place_order(71, "#71", NOON + timedelta(seconds=5), [(2, 1)], 1)
    q = f"updated_at:>='{NOON:%Y-%m-%dT%H:%M:%SZ}'"
    page = client.data(ORDERS, {"q": q, "n": 1})["orders"]
    after = page["pageInfo"]["endCursor"]
    rest = client.data(ORDERS, {"q": q, "n": 1, "after": after})["orders"]
    assert [o["name"] for o in page["nodes"] + rest["nodes"]] == ["#70", "#71"]
    assert page["pageInfo"]["hasNextPage"] and not rest["pageInfo"]["hasNextPage"]
    assert page["nodes"][0]["lineItems"]["pageInfo"]["hasNextPage"]
    assert (shop.available(1, 1), shop.available(4, 1)) == (8, 40)


def test_cancel_restocks_and_zeroes_current_quantities(client: Client, shop: Shop) -> None:
    shop.place_order(70, "#70", NOON, [(1, 2)], 1)
    shop.cancel_order(70)
    order = client.data(ORDERS, {"q": "created_at:>='2026-11-23'", "n": 5})["orders"]["nodes"][0]
    assert order["lineItems"]["nodes"][0]["currentQuantity"] == 0 and shop.available(1, 1) == 10
    assert order["fulfillmentOrders"]["nodes"][0]["status"] == "CLOSED"


@pytest.mark.parametrize(("kind", "executed"), [("error_before", 0), ("error_after", 1)])
def test_gateway_errors_before_and_after_the_commit(client: Client, shop: Shop, kind: str, executed: int) -> None:
    fault = {"kind": kind, "times": 1, "match": "inventoryAdjustQuantities"}
    assert client.http.post(f"{client.base}/_sandbox/faults", json=fault).status_code == 200
    answer = client.post(ADJUST, {"input": adjustment(change(1, 1, 10)), "idempotencyKey": "k"})
    assert answer.status_code == 502 and len(shop.journal) == executed
    assert client.adjust(change(1, 1, 10))["userErrors"] == [] and len(shop.journal) == 1


@pytest.mark.parametrize(("kind", "executed"), [("cut_before", 0), ("cut_after", 1)])
def test_connections_cut_without_a_response(client: Client, shop: Shop, kind: str, executed: int) -> None:
    shop.faults.arm(kind, 1, "inventoryAdjustQuantities")
    with pytest.raises(httpx.TransportError):
        client.post(ADJUST, {"input": adjustment(change(1, 1, 10)), "idempotencyKey": "k"})
    assert len(shop.journal) == executed
    assert client.adjust(change(1, 1, 10))["userErrors"] == [] and len(shop.journal) == 1


def test_a_garbage_response_is_not_json_and_was_executed(client: Client, shop: Shop) -> None:
    shop.faults.arm("garbage", 1, "inventoryAdjustQuantities")
    answer = client.post(ADJUST, {"input": adjustment(change(1, 1, 10)), "idempotencyKey": "k"})
    assert answer.status_code == 200 and not answer.text.startswith("{") and len(shop.journal) == 1


@pytest.mark.parametrize(
    ("kind", "kept"), [("cut_before", 0), ("error_before", 0), ("cut_after", 1), ("error_after", 1)]
)
def test_an_upload_can_fail_before_and_after_it_is_stored(client: Client, shop: Shop, kind: str, kept: int) -> None:
    shop.faults.arm(kind, 1, "/_upload")
    with pytest.raises((httpx.TransportError, AssertionError)):
        client.upload([{"input": {}}])
    assert sum(body is not None for body in shop.uploads.values()) == kept


def test_the_download_of_a_result_file_can_fail(client: Client, shop: Shop) -> None:
    done = client.poll(client.run_bulk([{"input": adjustment(change(1, 1, 10)), "idempotencyKey": "k"}]))
    shop.faults.arm("error_before", 1, "/_results")
    assert client.http.get(done["url"]).status_code == 502 and len(client.result(done["url"])) == 1


def test_a_shop_that_goes_down_executes_no_waiting_request(client: Client, shop: Shop) -> None:
    with ThreadPoolExecutor(1) as pool:
        with shop.lock:
            given = {"input": adjustment(change(1, 1, 10)), "idempotencyKey": "k"}
            waiting = pool.submit(client.post, ADJUST, given)
            time.sleep(0.1)
            shop.faults.arm("cut_before")
        with pytest.raises(httpx.TransportError):
            waiting.result()
    assert shop.journal == []


@pytest.mark.parametrize(
    ("scope", "query", "field"),
    [
        ("read_inventory", '{ node(id: "gid://shopify/InventoryItem/1") { ... on InventoryItem { sku } } }', "sku"),
        ("read_orders", "{ orders(first: 1) { nodes { id } } }", "orders"),
        (
            "read_merchant_managed_fulfillment_orders",
            "{ orders(first: 1) { nodes { fulfillmentOrders(first: 1) { nodes { id } } } } }",
            "fulfillmentOrders",
        ),
        ("write_inventory", ADJUST, "inventoryAdjustQuantities"),
    ],
)
def test_a_scope_that_was_not_granted_denies_the_field(
    client: Client, shop: Shop, scope: str, query: str, field: str
) -> None:
    shop.scopes = ",".join(granted for granted in shop.scopes.split(",") if granted != scope)
    error = client.post(query, {"input": adjustment(change(1, 1, 10)), "idempotencyKey": "k"}).json()["errors"][0]
    assert error["extensions"]["code"] == "ACCESS_DENIED" and shop.journal == []
    assert f"Access denied for {field} field. Required access: `{scope}`" in error["message"]


def test_a_quantity_has_the_time_of_its_last_change(client: Client, shop: Shop) -> None:
    query = """{ node(id: "gid://shopify/InventoryItem/1") { ... on InventoryItem {
      inventoryLevel(locationId: "gid://shopify/Location/1") {
        quantities(names: ["available", "committed", "on_hand"]) { name updatedAt } } } } }"""

    def change_times() -> dict[str, str | None]:
        rows = client.data(query)["node"]["inventoryLevel"]["quantities"]
        return {row["name"]: row["updatedAt"] for row in rows}

    shop.clock = lambda: NOON + timedelta(hours=1)
    shop.place_order(70, "#70", NOON + timedelta(hours=1), [(1, 2)], 1)
    ordered = change_times()
    shop.clock = lambda: NOON + timedelta(hours=2)
    shop.fulfil_order(70)
    fulfilled = change_times()
    shop.clock = lambda: NOON + timedelta(hours=3)
    client.adjust(change(1, 5, 8))

    assert ordered == {"available": "2026-11-23T13:00:00Z", "committed": "2026-11-23T13:00:00Z", "on_hand": None}
    assert fulfilled == ordered | {"committed": "2026-11-23T14:00:00Z", "on_hand": "2026-11-23T14:00:00Z"}
    assert change_times() == fulfilled | {"available": "2026-11-23T15:00:00Z", "on_hand": "2026-11-23T15:00:00Z"}


def test_throttled_is_200_or_429_and_answers_carry_their_cost(client: Client, shop: Shop) -> None:
    shop.faults.arm("throttle")
    soft = client.post("{ shop { name } }")
    shop.faults.arm("throttle_429")
    hard = client.post("{ shop { name } }")
    assert (soft.status_code, hard.status_code, hard.headers["Retry-After"]) == (200, 429, "1.0")
    for answer in soft.json(), hard.json():
        assert answer["errors"][0]["extensions"]["code"] == "THROTTLED" and "data" not in answer
    cost = client.post("{ shop { name } }").json()["extensions"]["cost"]
    assert cost["throttleStatus"]["maximumAvailable"] == 20_000 and cost["actualQueryCost"] >= 1


def test_empty_bucket_throttles(client: Client, shop: Shop) -> None:
    shop.bucket.maximum = shop.bucket.available = 15
    shop.bucket.restore_rate = 0
    assert client.adjust(change(1, 1, 10))["userErrors"] == []
    answer = client.post(ADJUST, {"input": adjustment(change(1, 1, 11)), "idempotencyKey": "n"}).json()
    assert answer["extensions"]["cost"]["throttleStatus"]["currentlyAvailable"] == 5


def test_bulk_mutation_answers_every_line_by_number(client: Client, shop: Shop) -> None:
    lines: list[Any] = [
        {"input": adjustment(change(1, 1, 10)), "idempotencyKey": "l0"},
        {"input": adjustment(change(2, 1, 99)), "idempotencyKey": "l1"},
        "not json",
        {"input": adjustment(change(3, 1, 30)), "idempotencyKey": "l3"},
    ]
    done = client.poll(client.run_bulk(lines))
    rows = {row["__lineNumber"]: row for row in client.result(done["url"])}
    assert done["status"] == "COMPLETED" and done["objectCount"] == "4" and sorted(rows) == [0, 1, 2, 3]
    assert rows[0]["data"]["inventoryAdjustQuantities"]["userErrors"] == []
    assert rows[1]["data"]["inventoryAdjustQuantities"]["userErrors"] != [] and "errors" in rows[2]
    assert len(shop.journal) == 2


def test_stuck_bulk_executes_half_and_can_be_cancelled(client: Client, shop: Shop) -> None:
    shop.faults.arm("bulk_stuck")
    lines = [{"input": adjustment(change(n, 1, None)), "idempotencyKey": f"l{n}"} for n in (1, 2, 3, 4)]
    operation = client.run_bulk(lines)
    assert [client.poll(operation)["status"] for _ in range(3)] == ["RUNNING"] * 3
    client.data("mutation($id: ID!) { bulkOperationCancel(id: $id) { bulkOperation { status } } }", {"id": operation})
    assert client.poll(operation)["status"] == "CANCELED" and len(shop.journal) == 2


def test_partial_bulk_fails_with_fewer_answers_than_it_executed(client: Client, shop: Shop) -> None:
    shop.faults.arm("bulk_partial")
    lines = [{"input": adjustment(change(n, 1, None)), "idempotencyKey": f"l{n}"} for n in (1, 2, 3, 4)]
    failed = client.poll(client.run_bulk(lines))
    assert failed["status"] == "FAILED" and failed["url"] is None
    assert len(client.result(failed["partialDataUrl"])) == 1 and len(shop.journal) == 2


def test_garbage_line_is_not_json(client: Client, shop: Shop) -> None:
    shop.faults.arm("garbage_line")
    done = client.poll(client.run_bulk([{"input": adjustment(change(1, 1, 10)), "idempotencyKey": "k"}]))
    with pytest.raises(ValueError):
        client.result(done["url"])


def test_file_must_be_the_last_field(client: Client) -> None:
    files = [("file", ("a", b"x")), ("key", (None, b"k"))]
    assert client.http.post(f"{client.base}/_upload", files=files).status_code == 400


def test_bulk_query_gives_flat_lines_with_parents(client: Client) -> None:
    query = """{ inventoryItems(first: 1) { edges { node { id sku tracked ...levels } } } }
      fragment levels on InventoryItem { inventoryLevels(includeInactive: true) {
        edges { node { id isActive location { id } quantities(names: ["available"]) { name quantity }
        } } } }"""
    started = client.data(
        """mutation($q: String!) { bulkOperationRunQuery(query: $q) { bulkOperation { id }
          userErrors { code } } }""",
        {"q": query},
    )["bulkOperationRunQuery"]
    rows = client.result(client.poll(started["bulkOperation"]["id"])["url"])
    levels = [row for row in rows if "__parentId" in row]
    assert len(rows) == 11 and len(levels) == 6
    assert sorted(level["quantities"][0]["quantity"] for level in levels) == [3, 10, 20, 30, 40, 50]
    assert {row["__parentId"] for row in levels} == {row["id"] for row in rows if "sku" in row}


def test_unknown_field_is_an_error_of_the_real_schema(client: Client) -> None:
    answer = client.post("{ shop { nonsense } }").json()
    assert "Cannot query field 'nonsense' on type 'Shop'" in answer["errors"][0]["message"]


LIFE = """query($id: ID!) { node(id: $id) { ... on Order { closed edited sourceName displayFulfillmentStatus
  retailLocation { id }
  lineItems(first: 5) { nodes { quantity currentQuantity unfulfilledQuantity nonFulfillableQuantity } }
  fulfillmentOrders(first: 5) { nodes { id status lineItems(first: 5) { nodes { remainingQuantity } } } }
  fulfillments(first: 5) { id status createdAt location { id }
    fulfillmentLineItems(first: 5) { nodes { quantity lineItem { id variant { inventoryItem { id } } } } } }
  refunds(first: 5) { id createdAt
    refundLineItems(first: 5) { nodes { quantity restockType restocked location { id } lineItem { id } } } } } } }"""
WEB, STORE = "gid://shopify/Location/1", "gid://shopify/Location/2"


def life(client: Client, number: int = 70) -> Any:
    return client.data(LIFE, {"id": f"gid://shopify/Order/{number}"})["node"]


def units(shop: Shop, item: int = 1, location: int = 1) -> tuple[int, int, int]:
    level = shop.levels[item, location]
    return level.available, level.committed, level.on_hand


def order_names(client: Client, query: str) -> list[str]:
    return [order["name"] for order in client.data(ORDERS, {"q": query, "n": 9})["orders"]["nodes"]]


def test_a_till_sale_is_shipped_at_once_and_never_committed(client: Client, shop: Shop) -> None:
    shop.sell_at_till(70, "#70", NOON, [(1, 2)], 1)
    order = life(client)
    (shipped,) = order["fulfillments"]
    assert units(shop) == (8, 0, 8) and set(shop.levels[1, 1].changed_at) == {"available", "on_hand"}
    assert (order["sourceName"], order["retailLocation"], order["closed"]) == ("pos", {"id": WEB}, True)
    assert (shipped["status"], shipped["location"]) == ("SUCCESS", {"id": WEB})
    assert shipped["fulfillmentLineItems"]["nodes"] == [
        {
            "quantity": 2,
            "lineItem": {
                "id": "gid://shopify/LineItem/70001",
                "variant": {"inventoryItem": {"id": "gid://shopify/InventoryItem/1"}},
            },
        }
    ]
    assert order["fulfillmentOrders"]["nodes"][0]["status"] == "CLOSED"


def test_an_order_ships_in_parts(client: Client, shop: Shop) -> None:
    shop.place_order(70, "#70", NOON, [(1, 5), (4, 1)], 1)
    shop.fulfil_order(70, [(70001, 2)])
    (part,) = life(client)["fulfillmentOrders"]["nodes"]
    assert part["status"] == "IN_PROGRESS" and units(shop) == (5, 3, 8)
    assert [line["remainingQuantity"] for line in part["lineItems"]["nodes"]] == [3, 1]
    assert life(client)["displayFulfillmentStatus"] == "PARTIALLY_FULFILLED"
    shop.fulfil_order(70)
    rest = life(client)
    assert len(rest["fulfillments"]) == 2 and rest["closed"] and units(shop) == (5, 0, 5)
    assert units(shop, item=4) == (40, 0, 40)  # what is not tracked does not move
    page = """query($id: ID!, $after: String) { node(id: $id) { ... on Fulfillment {
      fulfillmentLineItems(first: 1, after: $after) { nodes { quantity } pageInfo { hasNextPage endCursor } } } } }"""
    variables = {"id": rest["fulfillments"][1]["id"]}
    first = client.data(page, variables)["node"]["fulfillmentLineItems"]
    second = client.data(page, variables | {"after": first["pageInfo"]["endCursor"]})["node"]["fulfillmentLineItems"]
    assert [one["nodes"][0]["quantity"] for one in (first, second)] == [3, 1]
    assert first["pageInfo"]["hasNextPage"] and not second["pageInfo"]["hasNextPage"]


@pytest.mark.parametrize(("restock", "left"), [(True, (8, 2, 10)), (False, (5, 2, 7))])
def test_an_edit_takes_units_off_without_a_refund(
    client: Client, shop: Shop, restock: bool, left: tuple[int, int, int]
) -> None:
    shop.place_order(70, "#70", NOON, [(1, 5)], 1)
    shop.edit_order(70, add=[(2, 3)], remove=[(70001, 3)], restock=restock)
    order = life(client)
    assert units(shop) == left and units(shop, item=2) == (17, 3, 20)
    assert order["edited"] and order["refunds"] == []
    first, second = order["lineItems"]["nodes"]
    assert first == {"quantity": 5, "currentQuantity": 2, "unfulfilledQuantity": 2, "nonFulfillableQuantity": 3}
    assert second["currentQuantity"] == 3


@pytest.mark.parametrize(
    ("kind", "refunded", "left", "line", "place"),
    [
        ("CANCEL", 1, (6, 2, 8), (4, 2), {"id": WEB}),
        ("RETURN", 2, (5, 3, 8), (3, 3), {"id": STORE}),
        ("NO_RESTOCK", 3, (5, 0, 5), (2, 0), None),
        ("NO_RESTOCK", 4, (5, 0, 5), (1, 0), None),
    ],
)
def test_a_refund_records_what_came_back(
    client: Client, shop: Shop, kind: str, refunded: int, left: tuple[int, int, int], line: tuple[int, int], place: Any
) -> None:
    shop.place_order(70, "#70", NOON, [(1, 5)], 1)
    shop.fulfil_order(70, [(70001, 2)])
    shop.refund(70, [(70001, refunded)], kind, 2)
    order = life(client)
    (one,) = order["refunds"][0]["refundLineItems"]["nodes"]
    (row,) = order["lineItems"]["nodes"]
    assert units(shop) == left and shop.available(1, 2) == (5 if kind == "RETURN" else 3)
    assert (row["currentQuantity"], row["unfulfilledQuantity"]) == line
    assert (one["quantity"], one["restockType"], one["location"]) == (refunded, kind, place)
    assert one["restocked"] == (kind != "NO_RESTOCK") and one["lineItem"] == {"id": "gid://shopify/LineItem/70001"}
    kept = client.data("query($id: ID!) { node(id: $id) { id } }", {"id": order["refunds"][0]["id"]})
    assert kept["node"]["id"] == order["refunds"][0]["id"]


@pytest.mark.parametrize(("restock", "kind", "left"), [(True, "CANCEL", (8, 0, 8)), (False, "NO_RESTOCK", (5, 0, 5))])
def test_a_cancellation_records_a_refund_of_what_remained(
    client: Client, shop: Shop, restock: bool, kind: str, left: tuple[int, int, int]
) -> None:
    shop.place_order(70, "#70", NOON, [(1, 5)], 1)
    shop.fulfil_order(70, [(70001, 2)])
    shop.cancel_order(70, restock)
    order = life(client)
    (one,) = order["refunds"][0]["refundLineItems"]["nodes"]
    assert (one["quantity"], one["restockType"]) == (3, kind) and units(shop) == left
    assert order["fulfillmentOrders"]["nodes"][0]["lineItems"]["nodes"] == [{"remainingQuantity": 0}]


def test_an_order_is_routed_late_and_can_be_held(client: Client, shop: Shop) -> None:
    shop.set_level(1, 2, 3)
    shop.place_order(70, "#70", NOON, [(1, 2)], 1, False)
    part = 'query { node(id: "gid://shopify/FulfillmentOrder/70") { id } }'
    assert life(client)["fulfillmentOrders"]["nodes"] == [] and client.data(part)["node"] is None
    assert units(shop) == (8, 2, 10)
    shop.route_order(70, 2)
    shop.orders[70].held = True
    assert life(client)["fulfillmentOrders"]["nodes"][0]["status"] == "ON_HOLD" and client.data(part)["node"]
    assert units(shop) == (10, 0, 10) and units(shop, location=2) == (1, 2, 3)


def test_units_are_set_aside_and_on_hand_stays(client: Client, shop: Shop) -> None:
    shop.clock = lambda: NOON + timedelta(hours=1)
    shop.set_reserved(1, 1, 2)
    shop.set_aside(1, 1, 1, "damaged")
    query = """{ node(id: "gid://shopify/InventoryItem/1") { ... on InventoryItem {
      inventoryLevel(locationId: "gid://shopify/Location/1") {
        quantities(names: ["available", "reserved", "damaged", "safety_stock", "on_hand"]) { name quantity updatedAt }
      } } } }"""
    rows = client.data(query)["node"]["inventoryLevel"]["quantities"]
    assert [row["quantity"] for row in rows] == [7, 2, 1, 0, 10]
    assert [row["updatedAt"] is not None for row in rows] == [True, True, True, False, False]


def test_the_search_lags_and_a_read_by_id_does_not(client: Client, shop: Shop) -> None:
    now = NOON
    shop.clock, shop.search_lag = lambda: now, timedelta(minutes=2)
    shop.place_order(70, "#70", NOON, [(1, 5)], 1)
    assert order_names(client, "") == [] and life(client)["closed"] is False
    now = NOON + timedelta(minutes=5)
    shop.fulfil_order(70)
    late = f"updated_at:>='{now:%Y-%m-%dT%H:%M:%SZ}'"
    assert order_names(client, "") == ["#70"] and order_names(client, late) == [] and life(client)["closed"] is True
    now += timedelta(minutes=2)
    assert order_names(client, late) == ["#70"]


def test_the_search_knows_open_closed_and_shipped_orders(client: Client, shop: Shop) -> None:
    for number in range(70, 74):
        shop.place_order(number, f"#{number}", NOON, [(1, 2)], 1)
    shop.fulfil_order(71)
    shop.cancel_order(72)
    shop.fulfil_order(73, [(73001, 1)])
    wanted = {
        "status:open": ["#70", "#73"],
        "status:closed": ["#71"],
        "status:cancelled": ["#72"],
        "status:any": ["#70", "#71", "#72", "#73"],
        "fulfillment_status:unshipped": ["#70", "#72"],
        "fulfillment_status:partial": ["#73"],
        "fulfillment_status:shipped": ["#71"],
        "status:open fulfillment_status:unshipped unheard_of:1": ["#70"],
    }
    assert {query: order_names(client, query) for query in wanted} == wanted
