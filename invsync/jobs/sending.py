"""From a reading to Shopify: a plan that is made, guarded, written and sent, or a reviewed plan that is sent as it is."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Generic, Protocol

import polars as pl

from invsync import bulkfile, mapping, plan, tables, verify
from invsync.jobs import delivery
from invsync.jobs.context import Context
from invsync.jobs.methods import review
from invsync.jobs.planfile import PlanFile
from invsync.jobs.values import Decision, PlanSelection, R, S, Settled
from invsync.ledger.reading import Reading
from invsync.shopify import Shopify
from invsync.state import File
from invsync.tables import KEY
from invsync.vocabulary import INACTIVE_LEVEL, REFUSED, SHADOW

SAME_MOMENT = timedelta(seconds=1)  # Shopify's stamps of an order and of the level that it moved


class Method(Protocol[S, R]):
    """How a job chooses its pairs, reads them, and remembers how they ended."""

    def select(self, settled: Settled) -> S:
        """The pairs to look at."""
        ...

    def read(self, selection: S) -> R:
        """The reading of the selected pairs."""
        ...

    def claims(self, selection: S, reading: R, pairs: pl.DataFrame) -> pl.DataFrame:
        """CLAIMS of the stock events that a change of these pairs covers."""
        ...

    def remember(self, selection: S, reading: R, outcomes: pl.LazyFrame) -> None:
        """Write down what these OUTCOMES mean for later runs."""
        ...


class Planner(Method[S, R], Protocol):
    """A method whose changes are planned here: how they are guarded, why they are made, and how pairs are read again."""

    def reread(self, selection: S, pairs: pl.DataFrame) -> Reading:
        """The reading of pairs that moved between our read and our write."""
        ...

    def guarded(self, selection: S, reading: R, rows: pl.DataFrame) -> list[tuple[bool, pl.DataFrame]]:
        """The rows in groups, each with whether its changes are guarded by what was read."""
        ...

    def reasons(self, selection: S, reading: R) -> pl.DataFrame | None:
        """Shopify's adjustment reason by pair; None: one reason serves them all."""
        ...


@dataclass(frozen=True)
class Delivered(Generic[R]):
    """OUTCOMES of the plan, the last reading of its pairs, and the ways that are still to be closed."""

    outcomes: pl.DataFrame
    reading: R
    ways: tuple[delivery.Delivery, ...] = ()


@dataclass(frozen=True)
class Sending(Generic[S, R]):
    """Plans what was read, and sends the plan."""

    context: Context
    method: Planner[S, R]

    def decide(self, selection: S, reading: R) -> Decision[S, R]:
        """The plan and its guards' numbers; the plan stands in the folder."""
        folder = self.context.folder
        rehearsal = self.context.parameters.dry_run  # it leaves no outcomes, so its page is drawn from the plan
        products = self.context.products(selection.products) if rehearsal else None
        activate = self.context.shop.activate_levels
        planned = PlanFile.write(reading.variances, folder / "plan.parquet", activate=activate, products=products)
        if reading.in_flight.height:
            reading.in_flight.write_parquet(folder / "in_flight.parquet")
        (folder / "mutation.graphql").write_text(Shopify.MUTATION, encoding="utf-8")
        return Decision(selection, reading, planned, tuple(self._guards(selection, planned)))

    def _guards(self, selection: S, planned: PlanFile) -> list[plan.Guarded]:
        before = self.context.state.runs.last_finished(self.context.name, self.context.job)
        guarded = plan.guards(
            planned.adjustments,
            self.context.shop.guards,
            mapped=selection.mapped,
            rows=selection.rows,
            rows_before=before["rows_read"] if before else None,
            targets=planned.targets,
            targets_before=before["targets"] if before and selection.whole else None,
            selling=self._selling(selection, planned),
        )
        # A look may see that the other sync is wrong almost everywhere.
        return [each for each in guarded if self.context.job != SHADOW or each.name not in plan.OF_SENDING]

    def _selling(self, selection: S, planned: PlanFile) -> int:
        """The pairs that sell something; in a small shop also those that this run does not look at."""
        context, mapped = self.context, selection.mapped
        selling, zeroed = planned.selling, planned.adjustments.filter(plan.is_zeroed()).height
        if not (plan.SEVERAL <= zeroed == selling and planned.pairs < mapped < context.shop.guards.min_pairs):
            return selling
        every, _ = mapping.pairs(context.oms.snapshot(), context.rules)
        others = every.join(planned.rows().select(KEY).collect(), on=KEY, how="anti")
        return selling + context.shopify.levels(others).filter(pl.col("available") > 0).height

    def leave(self, decision: Decision[S, R]) -> None:
        """Write the files of the plan into the folder, and send nothing."""
        for way, rows in self._ways(decision, decision.plan.adjustments):
            way.write(rows)

    def _ways(self, decision: Decision[S, R], rows: pl.DataFrame) -> Iterator[tuple[delivery.Delivery, pl.DataFrame]]:
        """Each group of rows with its way to Shopify; the parts of their files go on from one to the next."""
        selection, reading, context = decision.selection, decision.reading, self.context
        reasons, part = self.method.reasons(selection, reading), 0
        for guarded, group in self.method.guarded(selection, reading, rows):
            way = delivery.way(context, context.run_id, context.folder, guarded=guarded)
            way.reasons, way.part = reasons, part
            yield way, group
            part = way.part

    def send(self, decision: Decision[S, R]) -> Delivered[R]:
        """Send the plan until each pair has an outcome; pairs that moved meanwhile are read and planned again."""
        selection, reading = decision.selection, decision.reading

        def reread(stale: pl.DataFrame) -> pl.DataFrame:
            nonlocal reading
            later = self.method.reread(selection, stale)
            reading = reading.updated(later)
            return later.variances.collect()

        def claims(pairs: pl.DataFrame) -> pl.DataFrame:
            return self.method.claims(selection, reading, pairs)

        rows, sent = self._activated(decision.plan.adjustments)
        ways = []
        for way, group in self._ways(decision, rows):
            way.claims = claims
            if group.is_empty():
                way.write(group)
                no_answers(self.context)
            else:
                again = reread if way.guarded else None
                by_order = moved_by_order(self.context)
                sent = pl.concat([sent, delivery.drive(way, way.send(group), again, by_order)])
            ways.append(way)
        return Delivered(sent, reading, tuple(ways))

    def _activated(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows whose level is active now, and the OUTCOMES of those that Shopify would not activate."""
        inactive = rows.filter(plan.inactive_level())
        if inactive.is_empty():
            return rows, tables.empty(tables.OUTCOMES)
        refused = inactive.join(self.context.shopify.activate(inactive, self.context.run_id), on=KEY)
        outcomes = verify.outcome(refused, REFUSED, reason=pl.lit(INACTIVE_LEVEL), message=pl.col("message"))
        return rows.join(refused, on=KEY, how="anti").filter(pl.col("delta") != 0), outcomes


@dataclass(frozen=True)
class SendingAgain:
    """Sends the plan of a dry run byte by byte, as it was reviewed; its guards were checked then."""

    context: Context
    method: review.Applied

    def decide(self, selection: PlanSelection, reading: Reading) -> Decision[PlanSelection, Reading]:
        """The plan as it was decided."""
        for name in ("plan.parquet", "mutation.graphql"):
            shutil.copyfile(self.method.earlier.folder / name, self.context.folder / name)
        return Decision(selection, reading, PlanFile.read(self.context.folder / "plan.parquet"))

    def leave(self, decision: Decision[PlanSelection, Reading]) -> None:
        """Copy the reviewed files into the folder, and send nothing."""
        self._copied()

    def send(self, decision: Decision[PlanSelection, Reading]) -> Delivered[Reading]:
        """Send the reviewed files until each pair has an outcome."""
        files, rows, context = self._copied(), decision.plan.adjustments, self.context
        if rows.is_empty():
            no_answers(context)
            return Delivered(tables.empty(tables.OUTCOMES), decision.reading)
        part, sent, ways = len(files), tables.empty(tables.OUTCOMES), []
        for guarded, group in _alike(files):
            way = delivery.way(context, context.run_id, context.folder, guarded=guarded)
            way.part = part
            mine = pl.concat([bulkfile.read(file.path).select(KEY) for file in group])
            claims = self.method.claims(decision.selection, decision.reading, mine)
            judged = way.send_files(group, rows.join(mine, on=KEY, how="semi"), claims)
            outcomes = delivery.drive(way, judged, by_order=moved_by_order(context))
            sent, part = pl.concat([sent, outcomes]), way.part
            ways.append(way)
        return Delivered(sent, decision.reading, tuple(ways))

    def _copied(self) -> list[File]:
        folder = self.context.folder
        copies = [Path(shutil.copyfile(path, folder / path.name)) for path in review.files(self.method.earlier)]
        return [File(part, path, bulkfile.kept(path).sha256) for part, path in enumerate(copies, 1)]


def _alike(files: list[File]) -> list[tuple[bool, list[File]]]:
    """The files that have changes, those without a guard first."""
    guards = [(bulkfile.read(file.path)["changed_from"], file) for file in files]
    blind = [file for was, file in guards if was.len() and was.is_null().any()]
    guarded = [file for was, file in guards if was.len() and was.is_not_null().all()]
    return [(kind, group) for kind, group in ((False, blind), (True, guarded)) if group]


def no_answers(context: Context) -> None:
    """Leave an empty result file, as nothing was sent."""
    (context.folder / bulkfile.file_name("result", 1)).touch()


def moved_by_order(context: Context) -> delivery.Reread:
    """Tells which OUTCOMES have an item in an order that changed when the level did, or after it."""

    def moved(outcomes: pl.DataFrame) -> pl.DataFrame:
        orders = context.shopify.orders(context.at - timedelta(minutes=context.shop.overlap_minutes))
        latest = orders.group_by("inventory_item_id").agg(ordered_at=pl.col("updated_at").max())
        after_it = pl.col("ordered_at") >= pl.col("after_at").fill_null(pl.col("ordered_at")) - SAME_MOMENT
        return outcomes.join(latest, on="inventory_item_id").filter(after_it)

    return moved
