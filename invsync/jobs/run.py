"""One run as its notebook sees it, whatever its job: settle, select, read, decide, send, finish.

Each step takes what the step before it gave and returns a value; nothing is kept on the run itself.
"""

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Generic, Protocol

import polars as pl

from invsync import plan, report, verify
from invsync.errors import GuardStopped
from invsync.jobs import left_open
from invsync.jobs.context import Context
from invsync.jobs.outcomes import Outcomes
from invsync.jobs.sending import Delivered, Method, no_answers
from invsync.jobs.values import Decision, R, S, Selection, Sent, Settled
from invsync.runs import record
from invsync.runs.record import Record
from invsync.state import iso
from invsync.tables import KEY
from invsync.telemetry import Stopwatch, timed
from invsync.vocabulary import (
    DONE,
    GUARD,
    HELD,
    MOVING,
    PARTIAL,
    PLANNED,
    STATUSES,
    STOPPED,
    UNKNOWN,
    is_fault,
)


class Sender(Protocol[S, R]):
    """What becomes of a reading: a plan, its files, and their way to Shopify."""

    def decide(self, selection: S, reading: R) -> Decision[S, R]:
        """The plan, kept in the folder."""
        ...

    def leave(self, decision: Decision[S, R]) -> None:
        """Write the plan's files, and send nothing."""
        ...

    def send(self, decision: Decision[S, R]) -> Delivered[R]:
        """Send the plan until each pair has an outcome."""
        ...


@dataclass(frozen=True)
class Run(Generic[S, R]):
    """A run in progress: values come out of its steps, files go into its folder.

    `opened` is the record as the run began. `alone`: papermill executes the notebook by itself, without the command.
    """

    context: Context
    method: Method[S, R]
    sender: Sender[S, R]
    opened: Record
    alone: bool = False
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    resources: ExitStack = field(default_factory=ExitStack)

    @property
    def at(self) -> datetime:
        """The moment that every decision goes by."""
        return self.context.at

    @property
    def locations(self) -> pl.DataFrame:
        """What Shopify calls its locations: location_id, name."""
        return self.context.locations

    @timed
    def settle(self) -> Settled:
        """Close what an earlier run of this shop left open, before any work of this run's own."""
        return left_open.settle(self.context, dry_run=self.context.parameters.dry_run)

    @timed
    def select(self, settled: Settled) -> S:
        """The pairs to look at, and the rows that map to none."""
        return self.method.select(settled)

    @timed
    def read(self, selection: S) -> R:
        """VARIANCES of the selected pairs, and what is behind them, read in the safe order."""
        self.context.read_locations()
        reading = self.method.read(selection)
        self.stopwatch.set_oldest_order(_oldest(reading.in_flight))
        return reading

    @timed
    def decide(self, selection: S, reading: R) -> Decision[S, R]:
        """The plan, kept in the folder; a guard stops the run here, before anything is sent."""
        decision = self.sender.decide(selection, reading)
        numbers = {
            "changes": decision.plan.adjustments.height,
            "mapped pairs": selection.mapped,
            "OMS rows": selection.rows,
        }
        try:
            plan.enforce(list(decision.guards), numbers)
        except GuardStopped as error:
            self._stop(decision, str(error))
            raise
        return decision

    @timed
    def send(self, decision: Decision[S, R]) -> Sent[S, R]:
        """Upload the plan and prove it: OUTCOMES of every selected pair, kept in the folder with how the run ended."""
        context, folder = self.context, self.context.folder
        if context.parameters.dry_run:
            self.sender.leave(decision)
            claims = self.method.claims(decision.selection, decision.reading, decision.plan.adjustments)
            claims.write_parquet(folder / "claims.parquet")
            delivered = Delivered(verify.outcome(decision.plan.adjustments, PLANNED), decision.reading)
            outcomes = self._outcomes(decision, delivered.outcomes)
        else:
            record.reserve(folder)
            delivered = self.sender.send(decision)
            outcomes = self._outcomes(decision, delivered.outcomes)
            outcomes.write(folder / "outcomes.parquet")
        return self._conclude(decision, delivered, outcomes)

    # -- the end

    def _outcomes(self, decision: Decision[S, R], sent: pl.DataFrame) -> Outcomes:
        """The outcomes of every selected pair, given OUTCOMES of the plan's adjustments."""
        return Outcomes.of(decision, sent, self.context.products(decision.selection.products))

    def _conclude(self, decision: Decision[S, R], delivered: Delivered[R], outcomes: Outcomes) -> Sent[S, R]:
        """Write down what became of every pair, and move the watermark: from here on nothing can change what is said.

        run.json says first what was sent, in case the state database or the disk fails next, then how the run ended.
        """
        selection, context = decision.selection, self.context
        dry_run = context.parameters.dry_run
        draft = self._draft(decision, delivered, outcomes)
        record.write(context.folder, draft)
        for way in delivered.ways:
            way.close()
        faults = list(selection.settled.faults)
        if context.remembers:
            self.method.remember(selection, delivered.reading, outcomes.every())
        if not dry_run:
            faults += self._unknown_deltas()
        needs = outcomes.rest.filter(is_fault()).height + len(faults)
        status = PLANNED if dry_run else PARTIAL if needs else DONE
        unsure = outcomes.rest.filter((pl.col("outcome") == UNKNOWN) | (pl.col("reason") == MOVING)).height
        ended = replace(
            draft,
            counts={**draft.counts, "needs_a_person": needs},
            messages=tuple(dict.fromkeys([*draft.messages, *faults])),
        )
        written = self._ended(
            ended,
            selection,
            status,
            advances=selection.advances and context.remembers and not unsure,
            targets=outcomes.targets,
        )
        return Sent(decision, outcomes.every(), delivered.reading, written)

    def _draft(self, decision: Decision[S, R], delivered: Delivered[R], outcomes: Outcomes) -> Record:
        """The record as far as it is known when everything was sent."""
        selection, reading, ways = decision.selection, delivered.reading, delivered.ways
        window = selection.window
        start = iso(window.start) if window and window.start else None
        transports = [way.used for way in ways if way.used]
        return replace(
            self.opened,
            window={"from": start, "thru": iso(window.end)} if window else None,
            counts={
                **self.opened.counts,
                "read": selection.read,
                "selected": decision.plan.pairs + selection.held.height,
                PLANNED: decision.plan.adjustments.height,
                **outcomes.counts(),
            },
            units=record.units(outcomes.rest),
            in_flight=record.in_flight(reading.in_flight),
            transport=transports[-1] if transports else None,
            operation_ids=tuple(operation for way in ways for operation in way.operation_ids),
            guards=decision.guards,
            messages=tuple(
                dict.fromkeys(
                    [*self.opened.messages, *selection.settled.messages, *selection.messages, *reading.messages]
                )
            ),
            set_aside=reading.set_aside,
            orders_late_since=iso(reading.late_since) if reading.late_since else None,
        )

    def _unknown_deltas(self) -> list[str]:
        """A message on the stock events of which nobody knows whether Shopify counted them, until a reset settles them."""
        unknown = self.context.state.outbox.unknown(self.context.kept_as)
        if unknown.is_empty():
            return []
        pairs, runs = unknown.select(KEY).n_unique(), ", ".join(sorted(set(unknown["run_id"]))[:3])
        return [
            f"It is not known whether Shopify counted the deltas of {pairs} pairs (run {runs}): run a "
            "hard sync, which settles them."
        ]

    def _ended(self, draft: Record, selection: S, status: str, *, advances: bool, targets: int) -> Record:
        """The record with how the run ended, in the state and in the folder."""
        context, now = self.context, datetime.now(UTC)
        ended = replace(
            draft,
            status=status,
            exit_code=STATUSES[status].exit_code,
            finished_at=iso(now),
            api_version=context.shopify.api_version_served,
            files=record.files(context.folder),
        )
        context.state.runs.record(
            context.run_id,
            context.name,
            context.job,
            status=status,
            exit_code=ended.exit_code,
            folder=str(context.folder.resolve()),
            thru=selection.thru or context.thru,
            finished_at=now,
            advances=advances,
            targets=targets,
            rows_read=selection.rows,
            mapped=selection.mapped,
            sent=bool(context.state.outbox.parts(context.run_id)),
            fence=context.lease.fence,
        )
        record.write(context.folder, ended)
        return ended

    @timed
    def finish(self, sent: Sent[S, R]) -> Record:
        """Complete run.json for its readers and give the shop back; the record is what the report's banner says."""
        folder = self.context.folder
        named = replace(sent.record, locations=self._names(sent.decision.selection), files=record.files(folder))
        if self.alone:
            self._page(named)
            named = replace(named, files=record.files(folder))
        record.write(folder, named)
        self.resources.close()
        return named

    def _page(self, ended: Record) -> None:
        """The page of a run that papermill executed by itself: its charts are in the notebook that papermill wrote."""
        page = report.minimal(
            ended,
            "The charts of this run are in the notebook that papermill wrote.",
            timezone=self.context.shop.timezone,
            locale=self.context.shop.locale,
        )
        (self.context.folder / "report.html").write_text(page, encoding="utf-8")

    def _names(self, selection: Selection) -> dict[str, str]:
        """The names of the locations that this run looked at, by id as text."""
        if selection.pairs.is_empty():
            return {}
        named = self.locations.join(selection.pairs, on="location_id", how="semi").sort("location_id")
        return {str(location): name for location, name in named.iter_rows()}

    def _stop(self, decision: Decision[S, R], why: str) -> None:
        """Leave the whole plan to be looked at: its file, no results, and every change held by the guard."""
        self.sender.leave(decision)
        no_answers(self.context)
        held = verify.outcome(decision.plan.adjustments, HELD, reason=pl.lit(GUARD))
        outcomes = self._outcomes(decision, held)
        outcomes.write(self.context.folder / "outcomes.parquet")
        draft = self._draft(decision, Delivered(held, decision.reading), outcomes)
        needs = outcomes.rest.filter(is_fault(), pl.col("reason").ne_missing(GUARD)).height
        counts = {**draft.counts, "needs_a_person": needs}
        draft = replace(draft, counts=counts, units=self.opened.units, messages=draft.with_message(why))
        written = self._ended(draft, decision.selection, STOPPED, advances=False, targets=0)
        self.finish(Sent(decision, outcomes.every(), decision.reading, written))


def _oldest(flight: pl.DataFrame) -> datetime | None:
    """When the oldest of these IN_FLIGHT orders was placed."""
    oldest = flight["created_at"].min()
    return oldest if isinstance(oldest, datetime) else None
