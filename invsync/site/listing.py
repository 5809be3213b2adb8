"""The open faults as people read them: the product, what is wrong, what to do, since when, and what is at risk."""

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from invsync import charts
from invsync.report import remediation
from invsync.report.links import Links
from invsync.runs import record
from invsync.site import faults as followed
from invsync.site.history import History
from invsync.site.snoozes import Snooze
from invsync.vocabulary import advice

Readers = Mapping[str, charts.Reader]


@dataclass(frozen=True)
class Fault:
    """One fault, open or mended.

    `gap` are the units that Shopify shows beyond the target, below 0 where it shows too few; `at_risk` is what they
    are worth in `currency`, None where the price or the target is not known. `path` and `since_path` are the last
    and the first run that saw it, and `mended_path` the run that no longer did, each as shop/job/run_id.
    """

    id: str
    shop: str
    product: str
    sku: str
    location_id: int | None
    location: str
    what: str
    advice: str
    since: datetime
    since_path: str
    runs: int
    at: datetime
    path: str
    gap: float | None
    at_risk: float | None
    currency: str | None
    command: str
    link: str
    message: str
    who: str
    mended_at: datetime | None = None
    mended_path: str | None = None
    snooze: Snooze | None = None

    @property
    def seen(self) -> Snooze:
        """The fault as a snooze remembers it."""
        return Snooze(
            "",
            "",
            f"{self.shop}: {self.product} at {self.location}. {self.what}",
            _iso(self.since),
            self.gap,
            self.message,
        )


@dataclass(frozen=True)
class Listing:
    """Every fault that is `open` and awake, or `snoozed`, the most at risk first, and those `mended` lately."""

    open: tuple[Fault, ...]
    snoozed: tuple[Fault, ...]
    mended: tuple[Fault, ...]

    @property
    def products(self) -> int:
        """How many products need a person."""
        return len({(fault.shop, fault.who) for fault in self.open})

    @property
    def at_risk(self) -> dict[str, float]:
        """What is at risk over the faults that need a person, by currency, the largest amount first."""
        sums: dict[str, float] = {}
        for fault in self.open:
            if fault.at_risk is not None and fault.currency:
                sums[fault.currency] = sums.get(fault.currency, 0.0) + fault.at_risk
        return dict(sorted(sums.items(), key=lambda item: -item[1]))


def listing(
    root: Path,
    history: History,
    snoozes: Mapping[str, Snooze],
    readers: Readers,
    links: Mapping[str, Links] | None = None,
    now: datetime | None = None,
) -> Listing:
    """The faults of every shop, given the snoozes; a snooze that is over, or whose fault has changed, is ignored."""
    still = history.faults.filter(followed.is_open())
    names, titles = _locations(root, history, still), _titles(history.pairs)
    frames = (still, followed.mended(history.faults))
    current, mended = ([_fault(row, names, titles, links or {}) for row in frame.to_dicts()] for frame in frames)
    ranked = sorted(current, key=lambda fault: (-(fault.at_risk or 0), fault.since, fault.product, fault.id))
    moment = now or datetime.now(UTC)
    days = {shop: readers.get(shop, charts.Reader()).local(moment).date() for shop in {fault.shop for fault in ranked}}
    asleep = [
        replace(fault, snooze=snoozes[fault.id]) for fault in ranked if _is_asleep(fault, snoozes, days[fault.shop])
    ]
    hidden = {fault.id for fault in asleep}
    return Listing(tuple(fault for fault in ranked if fault.id not in hidden), tuple(asleep), tuple(mended))


def _is_asleep(fault: Fault, snoozes: Mapping[str, Snooze], today: date) -> bool:
    return fault.id in snoozes and snoozes[fault.id].holds(fault.seen, today)


def _fault(
    row: dict[str, Any],
    names: Mapping[tuple[str, int], str],
    titles: Mapping[tuple[str, int], str],
    links: Mapping[str, Links],
) -> Fault:
    shop, item, at = row["shop"], row["inventory_item_id"], row["location_id"]
    label = charts.NONE if at is None else names.get((shop, at), f"Location {at}")
    priced = row["gap"] is not None and row["price"] is not None
    return Fault(
        id=_id(row),
        shop=shop,
        product=row["name"] or titles.get((shop, item), row["item"]),
        sku=row["item"],
        location_id=at,
        location=label,
        what=remediation.result_words(row["outcome"], row["reason"], row["message"]),
        advice=advice(row["outcome"], row["reason"], row["target"], _ids(row, label)),
        since=row["since"],
        since_path=row["since_path"],
        runs=row["runs"],
        at=row["at"],
        path=row["path"],
        gap=row["gap"],
        at_risk=abs(row["gap"]) * row["price"] if priced else None,
        currency=row["currency"],
        command=_command(row),
        link=links.get(shop, Links()).product(row["shopify_product_id"], row["shopify_variant_id"]),
        message=row["message"] or "",
        who=row["who"],
        mended_at=row["mended_at"],
        mended_path=row["mended_path"],
    )


def _id(row: dict[str, Any]) -> str:
    """Eight digits and letters that stand for the fault's identity, the same in every build."""
    identity = "\x1f".join(str(row[name]) for name in followed.IDENTITY)
    return hashlib.sha256(identity.encode()).hexdigest()[:8]


def _ids(row: dict[str, Any], label: str) -> dict[str, str]:
    """What advice may name."""
    at, oms = row["location_id"], row["oms"]
    place = "" if at is None else f"location {at}" if label == f"Location {at}" else f"{label} (location {at})"
    return {
        "links": (row["message"] or "").rstrip("."),
        "product": row["product_id"] or "",
        "item": "" if row["inventory_item_id"] is None else str(row["inventory_item_id"]),
        "place": place,
        "oms": "" if oms is None else f"{oms:g}",
        "runs": str(row["runs"]) if row["runs"] > 1 else "",
    }


def _command(row: dict[str, Any]) -> str:
    """The command that takes the number apart; none for an item that has neither a SKU nor a product."""
    if row["product_id"] is None and row["item"] == str(row["inventory_item_id"]):
        return ""
    place = [] if row["location_id"] is None else ["--location", str(row["location_id"])]
    return shlex.join(["invsync", "explain", "--shop", row["shop"], "--sku", row["item"], *place])


def _locations(root: Path, history: History, faults: pl.DataFrame) -> dict[tuple[str, int], str]:
    """What Shopify calls the locations, by shop and id, as the last run of each job and the faults' last runs read them."""
    newest = history.runs.unique(["shop", "job"], keep="last", maintain_order=True)["path"].to_list()
    seen = faults["path"].unique().sort().to_list()
    names: dict[tuple[str, int], str] = {}
    for path in dict.fromkeys([*seen, *newest]):
        run = record.read(root / path)
        for place, name in (run.locations if run else {}).items():
            if place.isdigit():
                names[path.split("/")[0], int(place)] = name
    return names


def _titles(pairs: pl.DataFrame) -> dict[tuple[str, int], str]:
    """The title of each item that any of its pairs knows, by shop and item."""
    known = pairs.filter(pl.col("name").is_not_null()).unique(["shop", "inventory_item_id"], keep="last")
    return {(shop, item): name for shop, item, name in known.select("shop", "inventory_item_id", "name").iter_rows()}


def _iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
