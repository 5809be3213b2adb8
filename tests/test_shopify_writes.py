"""Every line of a file gets exactly one result line, whatever the transport does."""

import base64
import json
from collections.abc import Callable
from email.parser import BytesParser
from pathlib import Path
from threading import Lock
from typing import Any

import httpx
import pytest

from invsync.config.settings import OmsSettings, ShopSettings
from invsync.errors import ShopifyFailed
from invsync.shopify import MUTATION, Delivery, Shopify

Answer = Callable[[str], httpx.Response]
DONE = {"data": {"inventoryAdjustQuantities": {"inventoryAdjustmentGroup": {"id": "g"}, "userErrors": []}}}


def ok(body: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, json=body, headers={"X-Shopify-API-Version": "2026-10"})


def refusal(code: str) -> dict[str, Any]:
    errors = [{"code": code, "field": None, "message": "refused"}]
    return {"data": {"inventoryAdjustQuantities": {"inventoryAdjustmentGroup": None, "userErrors": errors}}}


class WritesShop:
    """A shop that takes adjustments one by one and in bulk, and remembers every key it saw."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.answer = answer or (lambda key: ok(DONE))
        self.keys: list[str] = []
        self.statuses: list[dict[str, Any]] = []
        self.lines: list[str] | None = None
        self.uploads: list[bytes] = []
        self.started: list[dict[str, Any]] = []
        self.cancelled = False
        self.policy_limit = 1_000_000
        self.start_errors: list[str] = []
        self._lock = Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            if request.url.host == "storage.example":
                assert "X-Shopify-Access-Token" not in request.headers
                return self.storage(request)
            call = json.loads(request.content)
            if call["query"] == MUTATION:
                self.keys.append(call["variables"]["idempotencyKey"])
                return self.answer(self.keys[-1])
            return ok({"data": self.operation(call["query"], call["variables"])})

    def storage(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, text="".join(line + "\n" for line in self.lines or []))
        head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
        self.uploads.append(head + request.content)
        return httpx.Response(201)

    def operation(self, text: str, given: dict[str, Any]) -> dict[str, Any]:
        if "stagedUploadsCreate" in text:
            return {"stagedUploadsCreate": {"stagedTargets": [self.target()], "userErrors": []}}
        if "bulkOperationRunMutation" in text:
            return {"bulkOperationRunMutation": self.start(given)}
        if "bulkOperationCancel" in text:
            self.cancelled = True
            return {
                "bulkOperationCancel": {
                    "bulkOperation": {"id": "gid://b/1", "status": "CANCELING"},
                    "userErrors": [],
                }
            }
        status = {"status": "CANCELED"} if self.cancelled else self.statuses[0]
        if len(self.statuses) > 1:
            self.statuses.pop(0)
        return {
            "bulkOperation": {
                "id": "gid://b/1",
                "errorCode": None,
                "objectCount": "0",
                "url": None,
                "partialDataUrl": None,
            }
            | status
        }

    def target(self) -> dict[str, Any]:
        policy = {"conditions": [{"acl": "private"}, ["content-length-range", 1, self.policy_limit]]}
        fields = {
            "key": "tmp/1/bulk.jsonl",
            "acl": "private",
            "policy": base64.b64encode(json.dumps(policy).encode()).decode(),
        }
        parameters = [{"name": name, "value": value} for name, value in fields.items()]
        return {"url": "https://storage.example/upload", "parameters": parameters}

    def start(self, given: dict[str, Any]) -> dict[str, Any]:
        self.started.append(given)
        if self.start_errors:
            code = self.start_errors.pop(0)
            return {
                "bulkOperation": None,
                "userErrors": [{"code": code, "field": None, "message": code.lower()}],
            }
        return {"bulkOperation": {"id": "gid://b/1"}, "userErrors": []}


class Desk:
    """A file of adjustments with keys k0, k1, ..., and its delivery."""

    def __init__(self, folder: Path, count: int) -> None:
        self.path, self.result = folder / "adjustments.jsonl", folder / "result.jsonl"
        self.waits: list[float] = []
        lines = (
            json.dumps({"input": {"name": "available", "changes": []}, "idempotencyKey": f"k{i}"}) for i in range(count)
        )
        self.path.write_text("".join(line + "\n" for line in lines))

    def submit(self, shop: WritesShop, transport: Any = "auto", *, read_only: bool = False) -> Delivery:
        settings = ShopSettings(domain="acme.myshopify.com", token_env="TOKEN", oms=OmsSettings(shop_id="S"))
        with Shopify.open(
            settings,
            secrets={"TOKEN": "shpat_very_secret"},
            sleep=self.waits.append,
            read_only=read_only,
            transport_override=httpx.MockTransport(shop),
        ) as shopify:
            return shopify.submit(self.path, self.result, transport=transport)

    def results(self) -> list[dict[str, Any]]:
        return sorted((json.loads(line) for line in self.result.open()), key=lambda r: r["__lineNumber"])

    def codes(self) -> list[str]:
        codes = []
        for result in self.results():
            errors = result.get("errors") or result["data"]["inventoryAdjustQuantities"]["userErrors"]
            codes.append(errors[0].get("code") or errors[0]["extensions"]["code"] if errors else "DONE")
        return codes


def completed(lines: list[Any]) -> WritesShop:
    shop = WritesShop()
    shop.statuses = [
        {"status": "CREATED"},
        {"status": "RUNNING", "objectCount": "1"},
        {"status": "COMPLETED", "url": "https://storage.example/result"},
    ]
    shop.lines = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    return shop


def test_direct_gives_every_line_its_own_answer(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 9)
    shop = WritesShop(lambda key: ok(refusal("CHANGE_FROM_QUANTITY_STALE") if key == "k4" else DONE))

    assert desk.submit(shop, "direct") == Delivery("direct")
    assert [r["__lineNumber"] for r in desk.results()] == list(range(9))
    assert desk.codes() == ["DONE"] * 4 + ["CHANGE_FROM_QUANTITY_STALE"] + ["DONE"] * 4
    assert set(desk.results()[0]) == {"data", "__lineNumber"}


def test_a_line_without_an_answer_is_sent_again_under_its_key(tmp_path: Path) -> None:
    desk, failures = Desk(tmp_path, 1), [httpx.Response(502), httpx.Response(504)]

    shop = WritesShop(lambda key: failures.pop() if failures else ok(DONE))
    desk.submit(shop, "direct")

    assert shop.keys == ["k0"] * 3 and desk.codes() == ["DONE"]


def test_a_line_without_an_answer_has_an_unknown_outcome(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 3)

    shop = WritesShop(lambda key: httpx.Response(503) if key == "k1" else ok(DONE))
    desk.submit(shop, "direct")

    assert desk.codes() == ["DONE", "UNKNOWN_OUTCOME", "DONE"]
    assert shop.keys.count("k1") == 6


def test_a_request_in_progress_is_asked_again_under_its_key(tmp_path: Path) -> None:
    desk, busy = Desk(tmp_path, 1), [refusal("IDEMPOTENCY_CONCURRENT_REQUEST")] * 2

    shop = WritesShop(lambda key: ok(busy.pop() if busy else DONE))
    desk.submit(shop, "direct")

    assert shop.keys == ["k0"] * 3 and desk.codes() == ["DONE"] and len(desk.waits) == 2


def test_a_fatal_refusal_stops_the_rest_and_is_raised_after_every_line_has_a_result(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 50)

    with pytest.raises(ShopifyFailed, match="token") as caught:
        desk.submit(WritesShop(lambda key: httpx.Response(401)), "direct")
    assert set(desk.codes()) == {"UNKNOWN_OUTCOME", "NOT_SENT"} and len(desk.results()) == 50
    assert "shpat_very_secret" not in desk.result.read_text() + str(caught.value)


@pytest.mark.parametrize(("count", "transport"), [(200, "direct"), (201, "bulk")])
def test_auto_is_direct_up_to_200_lines(tmp_path: Path, count: int, transport: str) -> None:
    desk = Desk(tmp_path, count)
    shop = completed([DONE | {"__lineNumber": i} for i in range(count)])

    assert desk.submit(shop).transport == transport
    assert desk.codes() == ["DONE"] * count


def test_bulk_joins_results_on_their_line_numbers(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 3)
    shop = completed(
        [
            DONE | {"__lineNumber": 2},
            refusal("INVALID_LOCATION") | {"__lineNumber": 0},
            DONE | {"__lineNumber": 1},
            DONE | {"__lineNumber": 1},
        ]
    )

    assert desk.submit(shop, "bulk") == Delivery("bulk", ("gid://b/1",))
    assert desk.codes() == ["INVALID_LOCATION", "DONE", "DONE"]
    assert shop.keys == [] and desk.waits == [1.0, 1.5]
    assert shop.started[0]["mutation"] == MUTATION
    assert shop.started[0]["stagedUploadPath"] == "tmp/1/bulk.jsonl"
    assert 10 <= len(shop.started[0]["clientIdentifier"]) <= 255
    assert list(tmp_path.glob("*.bulk")) == []


def test_the_upload_has_all_parameters_first_and_the_file_last(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 2)
    shop = completed([DONE | {"__lineNumber": i} for i in range(2)])

    desk.submit(shop, "bulk")

    parts = BytesParser().parsebytes(shop.uploads[0]).get_payload()
    names = [p.get_param("name", header="content-disposition") for p in parts]  # type: ignore[union-attr]
    assert names == ["key", "acl", "policy", "file"]
    assert parts[-1].get_payload(decode=True) == desk.path.read_bytes()  # type: ignore[union-attr,index]


def test_a_file_above_the_policy_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    desk, shop = Desk(tmp_path, 2), completed([])
    shop.policy_limit = 50

    with pytest.raises(ShopifyFailed, match="takes up to 50"):
        desk.submit(shop, "bulk")
    assert shop.uploads == [] and desk.codes() == ["NOT_SENT"] * 2


def test_garbled_and_missing_lines_are_sent_directly_under_their_keys(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 8)
    shop = completed(
        [
            DONE | {"__lineNumber": 0},
            '{"data":{"inventoryAdju',
            DONE,
            "[]",
            DONE | {"__lineNumber": 99},
            DONE | {"__lineNumber": "3"},
            {"data": None, "__lineNumber": 4},
            refusal("IDEMPOTENCY_CONCURRENT_REQUEST") | {"__lineNumber": 5},
            {"errors": [{"message": "no", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}], "__lineNumber": 6},
            {"errors": [{"message": "no", "extensions": {"code": "INVALID_FIELD_ARGUMENTS"}}], "__lineNumber": 7},
        ]
    )

    desk.submit(shop, "bulk")

    assert sorted(shop.keys) == ["k1", "k2", "k3", "k4", "k5", "k6"]
    assert desk.codes() == ["DONE"] * 7 + ["INVALID_FIELD_ARGUMENTS"]


def test_a_failed_operation_is_read_from_its_partial_file(tmp_path: Path) -> None:
    desk, shop = Desk(tmp_path, 3), completed([DONE | {"__lineNumber": 1}])
    shop.statuses = [{"status": "FAILED", "errorCode": "TIMEOUT", "partialDataUrl": "https://storage.example/part"}]

    desk.submit(shop, "bulk")

    assert sorted(shop.keys) == ["k0", "k2"] and desk.codes() == ["DONE"] * 3


def test_a_stalled_operation_is_cancelled_and_its_lines_are_sent_directly(tmp_path: Path) -> None:
    desk, shop = Desk(tmp_path, 3), WritesShop()
    shop.statuses = [{"status": "RUNNING", "objectCount": "1"}]

    assert desk.submit(shop, "bulk").operation_ids == ("gid://b/1",)
    assert shop.cancelled and 600 <= sum(desk.waits) < 610 and max(desk.waits) == 5
    assert sorted(shop.keys) == ["k0", "k1", "k2"] and desk.codes() == ["DONE"] * 3


def test_a_moving_operation_is_not_stalled(tmp_path: Path) -> None:
    desk, shop = Desk(tmp_path, 1), completed([DONE | {"__lineNumber": 0}])
    shop.statuses = [{"status": "RUNNING", "objectCount": str(i)} for i in range(200)] + shop.statuses[-1:]

    desk.submit(shop, "bulk")

    assert not shop.cancelled and sum(desk.waits) > 900 and shop.keys == []


def test_a_shop_that_runs_all_its_bulk_operations_is_waited_for(tmp_path: Path) -> None:
    desk, shop = Desk(tmp_path, 1), completed([DONE | {"__lineNumber": 0}])
    shop.start_errors = ["LIMIT_REACHED", "OPERATION_IN_PROGRESS"]

    desk.submit(shop, "bulk")

    assert len(shop.started) == 3 and len(shop.uploads) == 1


def test_a_shop_that_is_busy_for_ten_minutes_gets_the_file_directly(tmp_path: Path) -> None:
    desk, shop = Desk(tmp_path, 2), completed([])
    shop.start_errors = ["LIMIT_REACHED"] * 1_000

    assert desk.submit(shop, "bulk") == Delivery("bulk", ())
    assert desk.codes() == ["DONE"] * 2


def test_a_refused_bulk_mutation_is_fatal(tmp_path: Path) -> None:
    desk, shop = Desk(tmp_path, 2), completed([])
    shop.start_errors = ["INVALID_MUTATION"]

    with pytest.raises(ShopifyFailed, match="invalid_mutation"):
        desk.submit(shop, "bulk")
    assert desk.codes() == ["NOT_SENT"] * 2


def test_a_read_only_client_submits_nothing(tmp_path: Path) -> None:
    desk, shop = Desk(tmp_path, 1), WritesShop()

    with pytest.raises(ShopifyFailed, match="read-only"):
        desk.submit(shop, read_only=True)
    assert shop.keys == [] and not desk.result.exists()


def test_an_empty_file_has_no_results(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 0)

    assert desk.submit(WritesShop(), "bulk") == Delivery("bulk")
    assert desk.results() == []
