"""One run as its notebook sees it: open, select, read, decide, send, finish."""

import os
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from invsync import bulkfile, charts, diff, inflight, mapping, oms, plan, settings, tables, verify
from invsync.errors import GuardStopped, UsageError
from invsync.jobs import delivery, summary
from invsync.shopify import Shopify
from invsync.state import Pending, State, iso

RUN_ENV = "INVSYNC_RUN"
REPLAY_HOURS = 23
TRANSPORTS = ("auto", "bulk", "direct")


@dataclass(frozen=True)
class Parameters:
    """A job's parameters, checked strictly before anything is called."""

    job: str
    shop: str
    config: str
    dry_run: bool
    transport: str
    at: datetime | None


def parameters(job: str, *, shop: object, config: object, dry_run: object, transport: object, at: object) -> Parameters:
    """The parameters as values; an ill-typed one is a usage error that names it."""
    for name, value, kind in [("shop", shop, str), ("config", config, str), ("dry_run", dry_run, bool),
                              ("transport", transport, str), ("at", at, str)]:  # fmt: skip
        if type(value) is not kind:
            raise UsageError(f"Parameter {name} must be {kind.__name__}, not {value!r}: correct it.")
    if not settings.SHOP_NAME.match(str(shop)):
        raise UsageError(f"Shop {shop!r} must match {settings.SHOP_NAME.pattern}: correct --shop.")
    if transport not in TRANSPORTS:
        raise UsageError(f"Transport {transport!r} is none of {', '.join(TRANSPORTS)}: correct --transport.")
    return Parameters(job, str(shop), str(config), bool(dry_run), str(transport), instant(str(at)) if at else None)


def instant(text: str) -> datetime:
    """ISO 8601 with an offset or Z as UTC; anything else is a usage error."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None:
        raise UsageError(f"Time {text!r} is not ISO 8601 with an offset or Z: write 2026-11-23T13:15:00Z.")
    return moment.astimezone(UTC)


def new_run_id() -> str:
    """An id that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


@dataclass(frozen=True)
class Selection:
    """The pairs that this run looks at, the mapping faults, and how large the shop is."""

    pairs: pl.DataFrame
    held: pl.DataFrame
    products: pl.Series | None
    mapped: int
    rows: int


@dataclass
class Run:
    """A run in progress; frames come out of its methods, files go into its folder."""

    run_id: str
    given: Parameters
    shop: settings.ShopSettings
    folder: Path
    state: State
    oms: oms.Source
    shopify: Shopify
    at: datetime
    thru: datetime
    summary: dict[str, Any]
    in_flight: pl.DataFrame = field(default_factory=lambda: tables.empty(tables.IN_FLIGHT))
    selection: Selection | None = None

    def settle(self) -> list[str]:
        """Close what an earlier run of this shop left open, before any work of our own."""
        for file in self.state.pending(self.given.shop):
            self.summary["messages"].append(self._settled(file))
        return list(self.summary["messages"])

    def _settled(self, file: Pending) -> str:
        if self.given.dry_run:
            return f"Run {file.run_id} left {file.path.name} open; a dry run does not send it."
        fresh = datetime.now(UTC) - file.committed_at < timedelta(hours=REPLAY_HOURS)
        whole = file.path.exists() and bulkfile.kept(file.path).sha256 == file.sha256
        if fresh and whole:
            return delivery.settle(file, self.state, self.shopify)
        self.state.settle(file.run_id, file.part, "expired")
        why = "is gone or was changed" if fresh else f"is older than {REPLAY_HOURS} hours"
        return f"{file.path.name} of run {file.run_id} {why}: it is not sent again, its pairs are read afresh."

    def select(self) -> Selection:
        """The pairs whose OMS rows were touched since the watermark; every mapped pair on the first run."""
        mark = self.state.watermark(self.given.shop, self.given.job)
        start = mark - timedelta(minutes=self.shop.overlap_minutes) if mark else None
        self.summary["window"] = {"from": iso(start) if start else None, "thru": iso(self.thru)}
        products = (
            self.oms.changed_products(start, self.thru, group=self._group, store=self.oms.store) if start else None
        )
        snapshot = self.oms.snapshot()
        pairs, held = mapping.pairs(snapshot, aggregate_location=self.shop.aggregate_location, group=self._group,
                                    store=self.oms.store, at=self.at)  # fmt: skip
        if products is not None:
            wanted = pl.col("product_id").is_in(products.implode())
            chosen, faults = pairs.filter(wanted), held.filter(wanted)
        else:
            chosen, faults = pairs, held
        self.selection = Selection(chosen, faults, products, pairs.height, self.oms.row_count())
        self.summary["counts"]["read"] = pairs.height + held.height
        return self.selection

    @property
    def _group(self) -> str | None:
        return self.shop.oms.facility_group_id

    def variances(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """VARIANCES of these pairs, read in the safe order: Shopify's levels, Shopify's orders, then the OMS."""
        levels = self.shopify.levels(pairs)
        since = self.at - timedelta(days=self.shop.orders_lookback_days)
        orders, assigned = self.shopify.orders(since)
        snapshot = self.oms.snapshot(pairs["product_id"].unique(), since=since - timedelta(days=1))
        facts = {"aggregate_location": self.shop.aggregate_location, "group": self._group, "at": self.at}
        counted = mapping.counted_facilities(snapshot, store=self.oms.store, **facts)  # type: ignore[arg-type]
        targets = mapping.targets(pairs, snapshot, store=self.oms.store, **facts)  # type: ignore[arg-type]
        flight = inflight.in_flight(orders, assigned, pairs, snapshot, counted=counted)
        self.in_flight = pl.concat([self.in_flight.join(pairs, on=diff.KEY, how="anti"), flight])
        self._freshness(orders, snapshot)
        return diff.variances(targets, levels, flight, buffer=self.shop.buffer.units)

    def _freshness(self, orders: pl.DataFrame, snapshot: tables.Snapshot) -> None:
        unknown = inflight.unknown_orders(orders, snapshot)["created_at"].min()
        limit = self.at - timedelta(minutes=self.shop.late_after_minutes)
        if isinstance(unknown, datetime) and unknown < limit:
            late = (f"The order import is late: an order of {iso(unknown)} is not in the OMS yet; "
                    "its units were subtracted, so nothing sold goes back on sale.")  # fmt: skip
            if late not in self.summary["messages"]:
                self.summary["messages"].append(late)

    def decide(self, variances: pl.DataFrame) -> plan.Plan:
        """The plan, kept in the folder; a guard stops the run here, before anything is sent."""
        decided, chosen = plan.decide(variances), self.selection
        assert chosen is not None, "select comes before decide"
        pl.concat([decided.adjustments, decided.already_right, decided.held]).write_parquet(
            self.folder / "plan.parquet"
        )
        (self.folder / "mutation.graphql").write_text(Shopify.MUTATION, encoding="utf-8")
        before = self.state.last_done(self.given.shop, self.given.job)
        targets = int(variances["oms"].is_not_null().sum())
        found = plan.guards(decided.adjustments, self.shop.guards, mapped=chosen.mapped, rows=chosen.rows,
                            rows_before=before["rows_read"] if before else None, targets=targets,
                            targets_before=None)  # fmt: skip
        self.summary["guards"] = [vars(guard) for guard in found]
        self.summary["counts"] |= {
            "selected": variances.height + chosen.held.height,
            "planned": decided.adjustments.height,
        }
        self._count_in_flight()
        try:
            plan.enforce(found, {"rows": chosen.rows, "pairs": chosen.mapped, "planned": decided.adjustments.height})
        except GuardStopped as error:
            self._stop(error)
            raise
        return decided

    def _count_in_flight(self) -> None:
        rows = self.in_flight
        self.summary["in_flight"] = {
            "orders": rows["order_id"].n_unique(), "units": int(rows["units"].sum()),
            "pairs": rows.select(diff.KEY).n_unique() if rows.height else 0,
        }  # fmt: skip

    def send(self, decided: plan.Plan) -> pl.DataFrame:
        """Upload the plan and prove it: OUTCOMES of every selected pair, kept in the folder."""
        if self.given.dry_run:
            bulkfile.write(decided.adjustments, self.folder, run_id=self.run_id)
            return self._outcomes(decided, verify.outcome(decided.adjustments, "planned"))
        way = delivery.Delivery(
            self.given.shop, self.run_id, self.folder, self.state, self.shopify, self.given.transport
        )
        if decided.adjustments.is_empty():
            bulkfile.write(decided.adjustments, self.folder, run_id=self.run_id)
            (self.folder / bulkfile.file_name("result", 1)).touch()
        sent = delivery.deliver(
            way, decided.adjustments, lambda stale: self.variances(stale.select(list(tables.PAIRS)))
        )
        self.summary |= {"transport": way.used, "operation_ids": way.operation_ids}
        outcomes = self._outcomes(decided, sent)
        outcomes.write_parquet(self.folder / "outcomes.parquet")
        return outcomes

    def _outcomes(self, decided: plan.Plan, sent: pl.DataFrame) -> pl.DataFrame:
        held = verify.outcome(decided.held, "held", reason=pl.col("held"))
        right = verify.outcome(decided.already_right, "already_right")
        return pl.concat([sent, right, held, self._unmapped()]).sort("target", *diff.KEY, nulls_last=True)

    def _unmapped(self) -> pl.DataFrame:
        """OUTCOMES of the rows that map to no pair: held, each with its reason."""
        assert self.selection is not None, "select comes before send"
        rows = self.selection.held.with_columns(outcome=pl.lit("held"))
        return pl.concat([tables.empty(tables.OUTCOMES), rows.drop("facility_id")], how="diagonal")

    def finish(self, outcomes: pl.DataFrame) -> dict[str, Any]:
        """Write run.json and move the watermark; the summary is what the report's banner says."""
        faults = outcomes.filter(summary.is_fault()).height
        status = "planned" if self.given.dry_run else "partial" if faults else "done"
        self._count_in_flight()
        self.summary["counts"] |= summary.counts(outcomes) | {"needs_a_person": faults}
        self.summary["units"] = summary.units(outcomes)
        self._end(status)
        unsure = outcomes.filter((pl.col("outcome") == "unknown") | (pl.col("reason") == "moving")).height
        self._record(advances=not self.given.dry_run and not unsure, targets=int(outcomes["oms"].is_not_null().sum()))
        return self.summary

    def _end(self, status: str) -> None:
        self.summary |= {
            "status": status, "exit_code": summary.EXIT[status], "finished_at": iso(datetime.now(UTC)),
            "api_version": self.shopify.api_version_served, "files": summary.files(self.folder),
        }  # fmt: skip
        summary.write(self.folder, self.summary)

    def _record(self, *, advances: bool, targets: int) -> None:
        self.state.record(self.run_id, self.given.shop, self.given.job, status=self.summary["status"],
                          exit_code=self.summary["exit_code"], thru=iso(self.thru), advances=advances,
                          rows_read=self.selection.rows if self.selection else None, targets=targets)  # fmt: skip

    def _stop(self, error: GuardStopped) -> None:
        self.summary["messages"].append(str(error))
        self._end("stopped")
        self._record(advances=False, targets=0)


def open_run(job: str, *, shop: object, config: object, dry_run: object, transport: object, at: object) -> Run:
    """Check every parameter, then open the shop, the OMS, the state and the run's folder."""
    given = parameters(job, shop=shop, config=config, dry_run=dry_run, transport=transport, at=at)
    configured = settings.load(Path(given.config))
    chosen = configured.shop(given.shop)
    run_id = os.environ.get(RUN_ENV) or new_run_id()
    folder = Path(configured.reports.path) / given.shop / job / run_id
    names = [name for name in (chosen.token_env, chosen.client_secret_env) if name]
    source = oms.open_source(chosen.oms, chosen)
    clock = given.at or datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    charts.enable()
    return Run(
        run_id=run_id, given=given, shop=chosen, folder=folder, state=State(configured.state.url), oms=source,
        shopify=Shopify.open(chosen, secrets={name: settings.secret(name, os.environ) or "" for name in names},
                             read_only=given.dry_run),
        at=clock, thru=min(clock, source.now()), summary=summary.blank(run_id, given.shop, job, iso(datetime.now(UTC))),
    )  # fmt: skip
