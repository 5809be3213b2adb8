"""Webhook subscriptions at the sandbox's Shopify are created, repaired, and reported by runs and by the doctor."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rehearsal import RECENT, Rehearsal, open_rehearsal

from invsync import webhooks
from invsync.doctor import examine
from invsync.errors import ShopifyFailed, UsageError

ADDRESS = "https://hooks.example.com/demo"
TOPICS = ["INVENTORY_LEVELS_UPDATE", "ORDERS_CREATE", "ORDERS_CANCELLED", "BULK_OPERATIONS_FINISH"]


@pytest.fixture
def rehearsal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rehearsal]:
    with open_rehearsal(tmp_path, monkeypatch) as built:
        hear_at(built, ADDRESS)
        yield built


def hear_at(rehearsal: Rehearsal, address: str) -> None:
    text = rehearsal.config.read_text()
    rehearsal.config.write_text(text.replace("[shops.demo.oms]", f'webhook_url = "{address}"\n[shops.demo.oms]'))


def conditions(rehearsal: Rehearsal, *, check_only: bool = False) -> dict[str, str]:
    return {one.topic: one.condition for one in webhooks.register(rehearsal.config, "demo", check_only=check_only)}


def test_every_topic_is_created_once(rehearsal: Rehearsal) -> None:
    assert conditions(rehearsal) == dict.fromkeys(TOPICS, "created")
    assert conditions(rehearsal) == dict.fromkeys(TOPICS, "right")
    assert len(rehearsal.shop.subscriptions) == 4


def test_a_check_changes_nothing(rehearsal: Rehearsal) -> None:
    assert conditions(rehearsal, check_only=True) == dict.fromkeys(TOPICS, "lost")
    assert rehearsal.shop.subscriptions == {}


def test_a_subscription_that_shopify_deleted_is_created_again(rehearsal: Rehearsal) -> None:
    conditions(rehearsal)
    del rehearsal.shop.subscriptions[2]

    assert conditions(rehearsal, check_only=True)["ORDERS_CREATE"] == "lost"
    assert conditions(rehearsal)["ORDERS_CREATE"] == "created"


def test_a_changed_subscription_is_repaired(rehearsal: Rehearsal) -> None:
    conditions(rehearsal)
    rehearsal.shop.subscriptions[1].fields = ["available"]

    assert conditions(rehearsal, check_only=True)["INVENTORY_LEVELS_UPDATE"] == "changed"
    assert conditions(rehearsal)["INVENTORY_LEVELS_UPDATE"] == "repaired"
    assert conditions(rehearsal, check_only=True) == dict.fromkeys(TOPICS, "right")


def test_a_subscription_of_another_address_is_left_alone(rehearsal: Rehearsal) -> None:
    conditions(rehearsal)
    rehearsal.config.write_text(rehearsal.config.read_text().replace(ADDRESS, "https://new.example.com"))

    assert conditions(rehearsal) == dict.fromkeys(TOPICS, "created")
    assert len(rehearsal.shop.subscriptions) == 8


def test_a_shop_without_an_address_is_a_usage_error(rehearsal: Rehearsal) -> None:
    rehearsal.config.write_text(rehearsal.config.read_text().replace(f'webhook_url = "{ADDRESS}"\n', ""))

    with pytest.raises(UsageError, match="names no address for webhooks: set webhook_url"):
        conditions(rehearsal)


def test_a_token_without_the_right_to_read_is_named(rehearsal: Rehearsal) -> None:
    rehearsal.shop.rotate_token()

    with pytest.raises(ShopifyFailed, match="refused the token"):
        conditions(rehearsal)


def test_a_run_says_which_subscriptions_are_lost(rehearsal: Rehearsal) -> None:
    conditions(rehearsal)
    del rehearsal.shop.subscriptions[3]

    facts = rehearsal.run(datetime.now(UTC), job=RECENT)

    assert facts["subscriptions_lost"] == ["ORDERS_CANCELLED"]
    assert (
        "Shopify does not send ORDERS_CANCELLED any more: run invsync webhooks register --shop demo."
        in facts["messages"]
    )


def test_the_doctor_checks_the_subscriptions(rehearsal: Rehearsal) -> None:
    rehearsal.product(1, "S1", oms=10, available=7)
    before = {check.name: check for check in examine(rehearsal.config, "demo")}
    conditions(rehearsal)
    after = {check.name: check for check in examine(rehearsal.config, "demo")}

    assert (before["webhooks"].status, after["webhooks"].status) == ("fault", "ok")
    assert "INVENTORY_LEVELS_UPDATE is lost" in before["webhooks"].message
