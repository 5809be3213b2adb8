"""One run as its notebook sees it, whatever its job: settle, decide, send, finish."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from invsync import bulkfile, mapping, oms, plan, report, tables, verify
from invsync.config import settings
from invsync.errors import GuardStopped, ShopifyFailed
from invsync.jobs import delivery, left_open
from invsync.jobs.parameters import Parameters
from invsync.ledger.peers import Peer
from invsync.runs import record
from invsync.shopify import Shopify
from invsync.state import CLAIMS, Lease, State, iso
from invsync.tables import KEY
from invsync.vocabulary import (
    ALREADY_RIGHT,
    DONE,
    GUARD,
    HELD,
    INACTIVE_LEVEL,
    MOVING,
    PARTIAL,
    PLANNED,
    REFUSED,
    STATUSES,
    STOPPED,
    UNKNOWN,
    is_fault,
)

SAME_MOMENT = timedelta(seconds=1)  # Shopify's stamps of an order and of the level that it moved


@dataclass(frozen=True)
class Selection:
    """The pairs that this run looks at, the rows that map to no pair, and how large the shop is."""

    pairs: pl.DataFrame
    held: pl.DataFrame
    mapped: int
    rows: int
    whole: bool


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
    lease: Lease
    in_flight: pl.DataFrame = field(default_factory=lambda: tables.empty(tables.IN_FLIGHT))
    selection: Selection | None = None
    reopened: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    held: ExitStack = field(default_factory=ExitStack)
    alone: bool = False
    peers: list[Peer] = field(default_factory=list)
    ways: list[delivery.Delivery] = field(default_factory=list)  # that were used, and are not closed yet
    names: frozenset[str] = frozenset()  # every name that the configuration gives this shop
    kept: settings.StateSettings = field(default_factory=settings.StateSettings)
    guarded: ClassVar[bool] = True
    windowed: bool = True  # whether its end may move the watermark to `thru`

    @property
    def facts(self) -> dict[str, Any]:
        """What the mapping needs to know of this shop."""
        return {
            "aggregate_location": self.shop.aggregate_location,
            "group": self.shop.oms.facility_group_id,
            "store": self.oms.store,
            "at": self.at,
        }

    def mapped(self) -> int:
        """The mapped pairs of the whole shop, as the last run counted them that read them all."""
        known = self.state.runs.mapped(self.given.shop)
        return mapping.pairs(self.oms.snapshot(), **self.facts)[0].height if known is None else known

    def stock_rows(self) -> int:
        """The OMS's rows of stock, counted from where the last run of this job ended."""
        before = self.state.runs.last_finished(self.given.shop, self.given.job)
        return self.oms.row_count(before["rows_read"] if before else 0)

    def say(self, message: str) -> None:
        """Tell the reader of the report something, once."""
        if message not in self.summary["messages"]:
            self.summary["messages"].append(message)

    @cached_property
    def locations(self) -> pl.DataFrame:
        """What Shopify calls its locations: location_id, name; none where it does not tell, for no number hangs on it."""
        try:
            return self.shopify.locations().select("location_id", "name")
        except ShopifyFailed:
            return pl.DataFrame(schema={"location_id": tables.ID, "name": tables.TEXT})

    @property
    def kept_as(self) -> str:
        """The name under which this shop's outbox and claims are kept, whatever the configuration calls it."""
        return self.lease.shop

    def watermark(self, job: str) -> datetime | None:
        """The end of this job's last window, under whichever of the shop's names it ran."""
        marks = (self.state.runs.watermark(name, job) for name in {self.given.shop, self.kept_as, *self.names})
        return max((mark for mark in marks if mark is not None), default=None)

    def needs_a_person(self, message: str) -> None:
        """Tell the reader something that makes the run end as partial."""
        self.faults.append(message)
        self.say(message)

    def settle(self) -> list[str]:
        """Close what an earlier run of this shop left open, before any work of our own."""
        left_open.settle(self)
        return list(self.summary["messages"])

    def way(self, run_id: str, folder: Path, *, guarded: bool) -> delivery.Delivery:
        """The way to Shopify for files of this run, or of one that left them open."""
        return delivery.Delivery(
            self.lease,
            run_id,
            folder,
            self.state,
            self.shopify,
            self.given.transport,  # type: ignore[arg-type]
            guarded=guarded,
            stall_minutes=self.shop.bulk_stall,
        )

    # -- this run's own work

    def chosen(self) -> Selection:
        """The selection that was made."""
        assert self.selection is not None, "select comes first"
        return self.selection

    def decide(self, variances: pl.DataFrame) -> plan.Plan:
        """The plan, kept in the folder; a guard stops the run here, before anything is sent."""
        decided, chosen = plan.decide(variances, activate=self.shop.activate_levels), self.chosen()
        pl.concat([decided.adjustments, decided.already_right, decided.held]).write_parquet(
            self.folder / "plan.parquet"
        )
        if self.in_flight.height:
            self.in_flight.write_parquet(self.folder / "in_flight.parquet")
        (self.folder / "mutation.graphql").write_text(Shopify.MUTATION, encoding="utf-8")
        self._count(decided, variances)
        found = self._guards(decided, variances)
        self.summary["guards"] = [vars(guard) for guard in found]
        numbers = {"changes": decided.adjustments.height, "mapped pairs": chosen.mapped, "OMS rows": chosen.rows}
        try:
            plan.enforce(found, numbers)
        except GuardStopped as error:
            self._stop(error, decided)
            raise
        return decided

    def _count(self, decided: plan.Plan, variances: pl.DataFrame) -> None:
        held = self.chosen().held.height
        self.summary["counts"] |= {"selected": variances.height + held, PLANNED: decided.adjustments.height}

    def _guards(self, decided: plan.Plan, variances: pl.DataFrame) -> list[plan.Guarded]:
        before = self.state.runs.last_finished(self.given.shop, self.given.job)
        return plan.guards(
            decided.adjustments,
            self.shop.guards,
            mapped=self.chosen().mapped,
            rows=self.chosen().rows,
            rows_before=before["rows_read"] if before else None,
            targets=variances["oms"].count(),
            targets_before=before["targets"] if before and self.chosen().whole else None,
            selling=self._selling(decided, variances),
        )

    def _selling(self, decided: plan.Plan, variances: pl.DataFrame) -> int:
        """The pairs that sell something; in a small shop also those that this run does not look at."""
        selling, zeroed = variances.filter(pl.col("available") > 0).height, decided.adjustments.filter(plan.is_zeroed())
        mapped = self.chosen().mapped
        if not plan.SEVERAL <= zeroed.height == selling or not variances.height < mapped < self.shop.guards.min_pairs:
            return selling
        others = mapping.pairs(self.oms.snapshot(), **self.facts)[0].join(variances, on=KEY, how="anti")
        return selling + self.shopify.levels(others).filter(pl.col("available") > 0).height

    def send(self, decided: plan.Plan) -> pl.DataFrame:
        """Upload the plan and prove it: OUTCOMES of every selected pair, kept in the folder with how the run ended."""
        if self.given.dry_run:
            for way, rows in self._ways(decided.adjustments):
                way.write(rows)
            self.claims(decided.adjustments).write_parquet(self.folder / "claims.parquet")
            outcomes = self._outcomes(decided, verify.outcome(decided.adjustments, PLANNED))
        else:
            record.reserve(self.folder)
            outcomes = self._outcomes(decided, self._deliver(decided))
            outcomes.write_parquet(self.folder / "outcomes.parquet")
        self._conclude(outcomes)
        return outcomes

    def _groups(self, rows: pl.DataFrame) -> list[tuple[bool, pl.DataFrame]]:
        """The rows by whether their change is guarded by what was read."""
        return [(self.guarded, rows)]

    def _ways(self, rows: pl.DataFrame) -> Iterator[tuple[delivery.Delivery, pl.DataFrame]]:
        """Each group of rows with its way to Shopify; the parts of their files go on from one to the next."""
        part = 0
        for guarded, group in self._groups(rows):
            way = self.way(self.run_id, self.folder, guarded=guarded)
            way.claims, way.reasons, way.part = self.claims, self.reasons(), part
            yield way, group
            part = way.part

    def _deliver(self, decided: plan.Plan) -> pl.DataFrame:
        rows, sent = self._activated(decided.adjustments)
        for way, group in self._ways(rows):
            if group.is_empty():
                way.write(group)
                (self.folder / bulkfile.file_name("result", 1)).touch()
            else:
                reread = self.reread if way.guarded else None
                sent = pl.concat([sent, delivery.drive(way, way.send(group), reread, self.moved_by_order)])
            self._used(way)
        return sent

    def _used(self, way: delivery.Delivery) -> None:
        """Tell which transport was used, and by which bulk operations."""
        self.summary["transport"] = way.used or self.summary["transport"]
        self.summary["operation_ids"] = [*self.summary["operation_ids"], *way.operation_ids]
        self.ways.append(way)

    def _activated(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows whose level is active now, and the OUTCOMES of those that Shopify would not activate."""
        inactive = rows.filter(plan.inactive_level())
        if inactive.is_empty():
            return rows, tables.empty(tables.OUTCOMES)
        refused = inactive.join(self.shopify.activate(inactive, self.run_id), on=KEY)
        told = verify.outcome(refused, REFUSED, reason=pl.lit(INACTIVE_LEVEL), message=pl.col("message"))
        return rows.join(refused, on=KEY, how="anti").filter(pl.col("delta") != 0), told

    def reread(self, stale: pl.DataFrame) -> pl.DataFrame:
        """VARIANCES of pairs that moved between our read and our write, from fresh reads."""
        raise NotImplementedError

    def moved_by_order(self, moved: pl.DataFrame) -> pl.DataFrame:
        """Those of these OUTCOMES whose item stands in an order that changed when the level did, or after it."""
        orders = self.shopify.orders(self.at - timedelta(minutes=self.shop.overlap_minutes))
        latest = orders.group_by("inventory_item_id").agg(ordered_at=pl.col("updated_at").max())
        after_it = pl.col("ordered_at") >= pl.col("after_at").fill_null(pl.col("ordered_at")) - SAME_MOMENT
        return moved.join(latest, on="inventory_item_id").filter(after_it)

    def claims(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """CLAIMS of the stock events that a change of these pairs covers."""
        return tables.empty(CLAIMS)

    def reasons(self) -> pl.DataFrame | None:
        """Shopify's adjustment reason by pair; None where one reason serves them all."""
        return None

    def settled(self, outcomes: pl.DataFrame) -> None:
        """Write down which stock events these outcomes cover."""

    def _outcomes(self, decided: plan.Plan, sent: pl.DataFrame) -> pl.DataFrame:
        held = verify.outcome(decided.held, HELD, reason=pl.col("held"))
        right = verify.outcome(decided.already_right, ALREADY_RIGHT)
        return pl.concat([sent, right, held, self._unmapped()]).sort("target", *KEY, nulls_last=True)

    def _unmapped(self) -> pl.DataFrame:
        """OUTCOMES of the rows that map to no pair: held, each with its reason."""
        rows = self.chosen().held.with_columns(outcome=pl.lit(HELD))
        return pl.concat([tables.empty(tables.OUTCOMES), rows.drop("facility_id")], how="diagonal")

    # -- the end

    def _conclude(self, outcomes: pl.DataFrame) -> None:
        """Write down what became of every pair, and move the watermark: from here on nothing can change what is said.

        run.json says first what was sent, in case the state database or the disk fails next, then how the run ended.
        """
        self.summary["counts"] |= record.counts(outcomes)
        self.summary |= {"units": record.units(outcomes), "in_flight": record.in_flight(self.in_flight)}
        record.write(self.folder, self.summary)
        for way in self.ways:
            way.close()
        if not self.given.dry_run:
            self.settled(outcomes)
            self._tell_unknown()
        faults = outcomes.filter(is_fault()).height
        self.summary["counts"] |= {"needs_a_person": faults + len(self.faults)}
        status = PLANNED if self.given.dry_run else PARTIAL if faults or self.faults else DONE
        unsure = outcomes.filter((pl.col("outcome") == UNKNOWN) | (pl.col("reason") == MOVING)).height
        advances = self.windowed and not self.given.dry_run and not unsure
        self._record(status, advances=advances, targets=outcomes["oms"].count())

    def _tell_unknown(self) -> None:
        """Say of which stock events nobody knows whether Shopify counted them; every run does until a reset settles them."""
        unknown = self.state.outbox.unknown(self.kept_as)
        if unknown.height:
            pairs, runs = unknown.select(KEY).n_unique(), ", ".join(sorted(set(unknown["run_id"]))[:3])
            self.needs_a_person(
                f"It is not known whether Shopify counted the deltas of {pairs} pairs (run {runs}): run a "
                "hard sync, which settles them."
            )

    def _record(self, status: str, *, advances: bool, targets: int) -> None:
        ended, chosen = datetime.now(UTC), self.selection
        self.summary |= {
            "status": status,
            "exit_code": STATUSES[status].exit_code,
            "finished_at": iso(ended),
            "api_version": self.shopify.api_version_served,
            "files": record.files(self.folder),
        }
        self.state.runs.record(
            self.run_id,
            self.given.shop,
            self.given.job,
            status=status,
            exit_code=self.summary["exit_code"],
            folder=str(self.folder.resolve()),
            thru=self.thru,
            finished_at=ended,
            advances=advances,
            targets=targets,
            rows_read=chosen.rows if chosen else None,
            mapped=chosen.mapped if chosen else None,
            sent=bool(self.state.outbox.parts(self.run_id)),
            fence=self.lease.fence,
        )
        record.write(self.folder, self.summary)

    def finish(self, outcomes: pl.DataFrame) -> dict[str, Any]:
        """Complete run.json for its readers and give the shop back; the summary is what the report's banner says."""
        self.summary |= {"locations": self._names(), "files": record.files(self.folder)}
        if self.alone:
            self._page()
        record.write(self.folder, self.summary)
        self.held.close()
        return self.summary

    def _page(self) -> None:
        """The page of a run that papermill executed by itself: its charts are in the notebook that papermill wrote."""
        page = report.minimal(
            self.summary,
            "The charts of this run are in the notebook that papermill wrote.",
            timezone=self.shop.timezone,
            locale=self.shop.locale,
        )
        (self.folder / "report.html").write_text(page, encoding="utf-8")
        self.summary["files"] = record.files(self.folder)

    def _names(self) -> dict[str, str]:
        """The names of the locations that this run looked at, by id as text."""
        if self.selection is None or self.selection.pairs.is_empty():
            return {}
        named = self.locations.join(self.selection.pairs, on="location_id", how="semi").sort("location_id")
        return {str(location): name for location, name in named.iter_rows()}

    def _stop(self, error: GuardStopped, decided: plan.Plan) -> None:
        """Leave the whole plan to be looked at: its file, no results, and every change held by the guard."""
        for way, rows in self._ways(decided.adjustments):
            way.write(rows)
        (self.folder / bulkfile.file_name("result", 1)).touch()
        outcomes = self._outcomes(decided, verify.outcome(decided.adjustments, HELD, reason=pl.lit(GUARD)))
        outcomes.write_parquet(self.folder / "outcomes.parquet")
        self.summary["counts"] |= record.counts(outcomes)
        self.summary["in_flight"] = record.in_flight(self.in_flight)
        self.say(str(error))
        self._record(STOPPED, advances=False, targets=0)
        self.finish(outcomes)


def facilities_of(snapshot: tables.Snapshot, groups: tuple[str, ...], at: datetime) -> pl.Series:
    """The facilities that are members of any of these facility groups now."""
    members = snapshot.facility_group_member.filter(
        pl.col("facility_group_id").is_in(list(groups)), mapping.is_effective(at)
    )
    return members["facility_id"].unique()
