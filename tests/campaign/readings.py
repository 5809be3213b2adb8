"""What a run would make of an export, and whether a damage changed it in silence."""

from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa
from builders import rows
from campaign.drawn_worlds import COLUMNS, GROUP, MARK, NOW, SHOP, World, kind
from campaign.exporters import naive

from invsync import delta, equation, inflight, mapping, plan, tables
from invsync.config.connectors import OmsSettings, oms_settings
from invsync.ledger.orders import looked_back
from invsync.oms import Source, open_source
from invsync.oms.sql.source import Database
from invsync.tables import KEY

LOOKBACK_DAYS = 14
EVENTS_FROM = MARK - timedelta(hours=24)
Pair = tuple[int, int]
QUIET = {"unmapped_product", "unmapped_location", "no_oms_row"}  # holds that make no run end with exit code 4


@dataclass
class Reading:
    """Everything that jobs take from one export.

    `targets` are those of the pairs that would be sent or are right, `held` the reasons of the others. `named` are the
    holds of rows without a pair: product, facility, location, reason. `events` are the event_id, location and product
    that a run would claim (those of a feed by its product: a feed that was spelt anew is another), `net` the units and
    the reason that a delta run would send.
    """

    targets: dict[Pair, float] = field(default_factory=dict)
    held: dict[Pair, str] = field(default_factory=dict)
    unnamed: int = 0  # rows of a feed that are reported because they name no product (exit code 4)
    named: list[tuple[str | None, str | None, int | None, str]] = field(default_factory=list)
    products: dict[Pair, str] = field(default_factory=dict)
    selected: set[str] | None = None
    clock: datetime = NOW
    since: datetime = NOW
    cancelled: set[int] = field(default_factory=set)
    selected_by_item: set[str] = field(default_factory=set)
    events: set[tuple[str, int, str | None]] = field(default_factory=set)
    net: dict[Pair, tuple[float, str]] = field(default_factory=dict)
    net_held: dict[Pair, str] = field(default_factory=dict)


def settings(world: World, **more: str) -> OmsSettings:
    return oms_settings({"shop_id": SHOP, "facility_group_id": GROUP, "timezone": world.zone, **more})  # type: ignore[return-value]


def of_folder(world: World, folder: Path) -> Reading:
    """The export in this folder, by the product's own reader."""
    source = open_source(settings(world, kind="files", path=str(folder)))
    try:
        return of_source(world, source)
    finally:
        source.close()


def of_database(world: World) -> Reading:
    """The world's rows in a database, without any file."""
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool, connect_args={"check_same_thread": False})
    with engine.begin() as connection:
        for name, columns in COLUMNS.items():
            typed = ", ".join(f"{c} {'NUMERIC' if kind(c) == 'quantity' else 'TEXT'}" for c in columns.split())
            connection.exec_driver_sql(f"CREATE TABLE {name} ({typed})")
            values = [
                tuple(str(naive(v, world.zone)) if isinstance(v, datetime) else v for v in row.values())
                for row in world.tables[name]
            ]
            if values:
                connection.exec_driver_sql(
                    f"INSERT INTO {name} VALUES ({', '.join('?' * len(columns.split()))})", values
                )
    source = Database(engine, settings(world))
    try:
        return of_source(world, source)
    finally:
        source.close()


def of_source(world: World, source: Source) -> Reading:
    """The plan of a hard sync, the selection of a recent run and the net changes of a delta run."""
    snapshot = source.snapshot(orders=world.orders, events_from=EVENTS_FROM)
    reasons, remotes = source.delta_reasons(), source.remotes()
    frames = [getattr(snapshot, one.name) for one in fields(snapshot) if one.name != "now"]
    key = repr([*map(_shown_rows, [*frames, reasons]), sorted(remotes), source.store])
    if key not in world.readings:
        allowed = delta.pushable(snapshot.events, reasons, override=None, remotes=remotes)
        rules = mapping.Rules(aggregate_location=None, group=GROUP, store=source.store, at=NOW)
        world.readings[key] = _derived(world, snapshot, allowed, rules)
    known: Reading = world.readings[key]
    reading = replace(known, clock=source.now(), cancelled=set(source.cancelled_orders(MARK)))
    reading.since = looked_back(NOW, LOOKBACK_DAYS, snapshot.newest_known)
    changed = source.changed_products(MARK, NOW, group=GROUP, store=source.store)
    reading.selected = None if changed is None else set(changed)
    reading.selected_by_item = set(source.products_of(pl.Series(sorted(world.items.values()), dtype=pl.Int64)))
    return reading


def _shown_rows(value: Any) -> list[str] | str:
    return sorted(map(repr, value.rows())) if isinstance(value, pl.DataFrame) else repr(value)


def _derived(world: World, snapshot: tables.Snapshot, allowed: pl.DataFrame, rules: mapping.Rules) -> Reading:
    """What the pure functions make of one snapshot; they run once for snapshots that say the same."""
    pairs, named = mapping.pairs(snapshot, rules)
    reading = Reading(named=list(named.select("product_id", "facility_id", "location_id", "reason").rows()))
    reading.unnamed = snapshot.unreadable.filter(pl.col("product_id").is_null()).height
    reading.products = {(item, place): product for item, place, product in pairs.select(*KEY, "product_id").iter_rows()}
    _plan(reading, world, pairs, snapshot, rules)
    _net(reading, world, pairs, snapshot, allowed, rules)
    return reading


def _plan(reading: Reading, world: World, pairs: pl.DataFrame, snapshot: tables.Snapshot, rules: mapping.Rules) -> None:
    counted = mapping.counted_facilities(snapshot, rules)
    targets = mapping.targets(pairs, snapshot, rules)
    lines = [
        (order, str(order), NOW, NOW, item, place, open_, shipped, 0)
        for order, item, place, open_, shipped in world.sold
    ]
    sold = rows(tables.SOLD, *lines)
    unseen = pl.DataFrame(schema={"inventory_item_id": tables.ID, "location_id": tables.ID, "units": tables.UNITS})
    flight = inflight.in_flight(sold, unseen, pairs, snapshot, counted=counted)
    decided = plan.decide(equation.variances(targets, _levels(world), flight))
    for row in pl.concat([decided.adjustments, decided.already_right]).iter_rows(named=True):
        reading.targets[row["inventory_item_id"], row["location_id"]] = row["target"]
    for row in decided.held.iter_rows(named=True):
        reading.held[row["inventory_item_id"], row["location_id"]] = row["held"]


def _levels(world: World) -> pl.DataFrame:
    made = [(item, place, units, True, True, False) for (item, place), units in world.levels.items()]
    return rows(tables.LEVELS, *made)


def _net(
    reading: Reading,
    world: World,
    pairs: pl.DataFrame,
    snapshot: tables.Snapshot,
    allowed: pl.DataFrame,
    rules: mapping.Rules,
) -> None:
    named = mapping.locations(snapshot, aggregate_location=None)
    everything = delta.concerned(snapshot.events, pairs, named)
    reading.events = {
        (f"feed of {product}" if f"{event}".startswith("feed:") else f"{event}", place, product)
        for event, place, product in everything.select("event_id", "location_id", "product_id").iter_rows()
    }
    every = delta.concerned(snapshot.events.join(allowed, on="event_id", how="semi"), pairs, named)
    net = delta.net_changes(every, every, pairs, snapshot, lambda one: mapping.targets(pairs, one, rules))
    shown = _levels(world).select(*KEY, "available", "is_active", "tracked", "requires_components")
    variances = net.join(shown, on=KEY, how="left").with_columns(
        target=pl.col("available").fill_null(0) + pl.col("net"),
        delta=pl.col("net").round(0).cast(pl.Int64, strict=False),
        in_flight=pl.lit(0),
        set_aside=pl.lit(0),
        buffer=pl.lit(0),
        held=pl.lit(None, pl.String),
    )
    decided = plan.decide(tables.conform(variances, tables.VARIANCES, "variances"))
    reading.net_held = {
        (row["inventory_item_id"], row["location_id"]): row["held"] for row in decided.held.iter_rows(named=True)
    }
    for row in net.iter_rows(named=True):
        pair = row["inventory_item_id"], row["location_id"]
        if pair not in reading.net_held and row["net"]:
            reading.net[pair] = row["net"], row["shopify_reason"]


# -- the judgement


@dataclass
class Judged:
    """The effect of one damage: differences that are held by name, and those that go unreported."""

    held: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    is_quiet: bool = False  # every hold is one that a healthy run has too

    @property
    def outcome(self) -> str:
        """right, held, quiet or silent."""
        if self.silent:
            return "silent"
        return ("quiet" if self.is_quiet else "held") if self.held else "right"


def judged(world: World, right: Reading, after: Reading) -> Judged:
    """Every number that the damaged export gives, beside the right one."""
    verdict, holds = Judged(), dict[Pair, str]()
    for pair in sorted({*right.targets, *right.held, *after.targets, *after.held}):
        was, now = _shown(right, pair), _shown(after, pair)
        reason = after.held.get(pair) or (None if pair in after.targets else _named(world, right, after, pair))
        if now == was:
            continue
        if reason:
            holds[pair] = reason
            verdict.held.append(f"{pair}: {was} -> held, {reason}")
        else:
            verdict.silent.append(f"{pair}: {was} -> {now}")
    verdict.is_quiet = bool(holds) and QUIET.issuperset(holds.values())
    left = {product for pair, product in right.products.items() if pair not in holds}
    verdict.silent += _selection(right, after, left) + _net_changes(right, after, holds) + _events(right, after, holds)
    if left and (lost := sorted(right.cancelled - after.cancelled)):
        verdict.silent.append(f"cancelled orders {lost} are not heard of")
    if after.unnamed > right.unnamed:
        verdict.held, verdict.silent = [*verdict.held, *verdict.silent, "reported by name"], []
    return verdict


def _shown(reading: Reading, pair: Pair) -> str:
    if pair in reading.targets:
        return f"{reading.targets[pair]:g}"
    return f"held, {reading.held[pair]}" if pair in reading.held else "nothing"


def _named(world: World, right: Reading, after: Reading, pair: Pair) -> str | None:
    """The reason for which a pair that is missing is held by its own name."""
    product, place = right.products.get(pair), pair[1]
    at = {facility for facility, location in world.places.items() if location == place}
    online = place == world.places["_NA_"]
    for name, facility, location, reason in after.named:
        here = location == place or (location is None and (facility is None or facility in at or online))
        if product is not None and name == product and here:
            return reason
    return None


def _selection(right: Reading, after: Reading, left: set[str]) -> list[str]:
    """What a recent run would not look at, or what the next one would miss."""
    wrong = []
    wanted = left if right.selected is None else right.selected & left
    if after.selected is not None and (lost := sorted(wanted - after.selected)):
        wrong.append(f"a recent run does not select {', '.join(lost)}")
    if after.clock > right.clock:
        wrong.append(f"the export's clock is {after.clock:%Y-%m-%d %H:%M:%S}, not {right.clock:%H:%M:%S}")
    if after.since > right.since:
        wrong.append(f"orders are looked for since {after.since:%Y-%m-%d}, not {right.since:%Y-%m-%d}")
    if lost := sorted((right.selected_by_item & left) - after.selected_by_item):
        wrong.append(f"the items of {', '.join(lost)} lead to no product")
    return wrong


def _net_changes(right: Reading, after: Reading, holds: dict[Pair, str]) -> list[str]:
    """Pairs that a delta run would move by other units."""
    wrong = []
    for pair in sorted({*right.net, *after.net} - {*holds, *after.net_held}):
        was, now = right.net.get(pair, (0.0, "")), after.net.get(pair, (0.0, ""))
        if was != now:
            wrong.append(f"{pair}: net change {was[0]:g} {was[1]} -> {now[0]:g} {now[1]}")
    return wrong


def _events(right: Reading, after: Reading, holds: dict[Pair, str]) -> list[str]:
    """Stock events that stand at another pair, or under another name: they would be lost, or counted twice.

    Where an event moves no pair nothing is sent for it, and one of a held pair is counted by nobody yet.
    """
    held = {(right.products.get(pair), pair[1]) for pair in holds}
    wrong = []
    for event, place, product in sorted(right.events ^ after.events, key=repr):
        if (product, place) not in held and place != delta.EVERY_LOCATION:
            verb = "is lost" if (event, place, product) in right.events else "is new"
            wrong.append(f"event {event} of {product} at {place} {verb}")
    return wrong
