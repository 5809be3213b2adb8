"""Send a plan until every pair has an outcome: commit, deliver, judge, plan again, halve, read back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from invsync import bulkfile, plan, tables, verify
from invsync.jobs.context import Context
from invsync.shopify import Shopify, Transport
from invsync.state import File, Lease, Pending, State
from invsync.tables import KEY
from invsync.vocabulary import HELD, MOVED_AFTER, MOVED_BEFORE, MOVING, SUPERSEDED, UNKNOWN

PASSES = 3
Frame = pl.DataFrame
Reread = Callable[[Frame], Frame]


@dataclass
class Delivery:
    """One run's way to Shopify: its folder, its outbox, and what has been sent so far.

    `claims` gives the stock events that a change of these pairs covers; `reasons` Shopify's reason by pair.
    """

    lease: Lease
    run_id: str
    folder: Path
    state: State
    shopify: Shopify
    transport: Transport
    guarded: bool = True
    claims: Callable[[Frame], Frame] | None = None
    reasons: Frame | None = None
    stall_minutes: int = 10
    part: int = 0
    used: str | None = None
    operation_ids: list[str] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)

    def write(self, rows: Frame, size: int = bulkfile.CHANGES_A_LINE) -> list[File]:
        """Write files of these rows into the folder."""
        if self.reasons is not None:
            rows = rows.join(self.reasons, on=KEY, how="left", maintain_order="left")
        paths = bulkfile.write(
            rows, self.folder, run_id=self.run_id, first_part=self.part + 1, size=size, guarded=self.guarded
        )
        files = [File(self.part + n, path, bulkfile.kept(path).sha256) for n, path in enumerate(paths, 1)]
        self.part += len(files)
        return files

    def send(self, rows: Frame, size: int = bulkfile.CHANGES_A_LINE) -> Frame:
        """Commit files of these rows and deliver them; the rows with their ANSWERS and `part`."""
        return self.send_files(self.write(rows, size), rows, self.claims(rows) if self.claims else None)

    def send_files(self, files: list[File], rows: Frame, claims: Frame | None) -> Frame:
        """Commit these files with what they cover, settle those that they carry on for, and deliver them."""
        self.state.outbox.commit(
            self.lease,
            self.run_id,
            files,
            transport=self.transport,
            guarded=self.guarded,
            claims=claims,
            answered=self.answered,
        )
        self.answered = []
        return pl.concat([self.deliver(file.path, file.part, rows, self.transport) for file in files])

    def deliver(self, path: Path, part: int, rows: Frame, transport: Transport) -> Frame:
        """Deliver one committed file; its rows with their ANSWERS."""
        self.lease.check()  # the answers that another run wrote meanwhile stay
        result = self.folder / bulkfile.file_name("result", part)
        delivered = self.shopify.submit(path, result, transport=transport, stall_seconds=60.0 * self.stall_minutes)
        self.used = delivered.transport
        self.operation_ids += delivered.operation_ids
        judged = rows.join(verify.answers(path, result), on=KEY).with_columns(part=pl.lit(part))
        if not (judged["answer"] == "unknown").any():
            self.answered.append(part)
        return judged

    def close(self) -> None:
        """Settle every file whose rows all have an answer and need no other file."""
        self.state.outbox.commit(self.lease, self.run_id, [], transport=self.transport, answered=self.answered)
        self.answered = []


def way(context: Context, run_id: str, folder: Path, *, guarded: bool) -> Delivery:
    """The way to Shopify for files of this run, or of one that left them open."""
    return Delivery(
        context.lease,
        run_id,
        folder,
        context.state,
        context.shopify,
        context.parameters.transport,
        guarded=guarded,
        stall_minutes=context.shop.bulk_stall,
    )


def drive(way: Delivery, judged: Frame, reread: Reread | None = None, by_order: Reread | None = None) -> Frame:
    """OUTCOMES of what was sent: each pair lands, is refused by name, needs nothing any more, or is deferred.

    The way is left open: it is closed when the outcomes are written down, in case that the state fails then.

    `reread` plans pairs again from fresh reads: those that moved before the write, and those that show another number
    after it. Where a plan is no answer, `by_order` gives those of the latter that an order has moved.
    """
    driven = Driven(way, reread, by_order)
    while judged.height:
        judged = driven.proved(driven.answered(judged))
    return pl.concat([tables.empty(tables.OUTCOMES), *driven.ended])


@dataclass
class Driven:
    """A delivery under way: its OUTCOMES so far, and how often pairs were planned again."""

    way: Delivery
    reread: Reread | None
    by_order: Reread | None
    ended: list[Frame] = field(default_factory=list)
    passes: int = 0

    def answered(self, judged: Frame) -> Frame:
        """Send what needs another line until each pair has an answer; VARIANCES of those that landed."""
        landed: list[Frame] = []
        while judged.height:
            landed.append(_of(judged, "landed"))
            alone, crowded = _unplaced(judged)
            self.ended += [_named(judged, "refused"), _named(judged, "unknown"), _outcome(alone, "refused")]
            again = self._moved_before(_of(judged, "stale"))
            rest = pl.concat([_of(judged, "innocent"), crowded.select(list(tables.VARIANCES)), again])
            half = max(1, int(crowded["beside"].max() or 0) // 2) if crowded.height else bulkfile.CHANGES_A_LINE  # type: ignore[arg-type]
            judged = self.way.send(rest.sort("target", *KEY), half) if rest.height else rest
        return pl.concat(landed)

    def _moved_before(self, stale: Frame) -> Frame:
        """The adjustments of fresh reads of the stale pairs; without a way to read them they are held as moving.

        Changes without a guard cannot be stale: their line is sent again as it is, under a new key.
        """
        if stale.is_empty():
            return stale
        self.passes += 1
        if not self.way.guarded and self.passes < PASSES:
            return stale
        if self.reread is None or self.passes >= PASSES:
            self.ended.append(verify.outcome(stale, HELD, reason=pl.lit(MOVING)))
            return stale.clear()
        fresh = plan.decide(self.reread(stale))
        self.ended.append(verify.outcome(fresh.already_right, SUPERSEDED, reason=pl.lit(MOVED_BEFORE)))
        self.ended.append(verify.outcome(fresh.held, HELD, reason=pl.col("held")))
        return fresh.adjustments

    def proved(self, landed: Frame) -> Frame:
        """Read back what landed; what shows another number that nothing explains, sent again with its answers."""
        if landed.is_empty():
            return landed
        shown = verify.read_back(landed, self.way.shopify.levels(landed))
        moved = shown.filter(pl.col("reason") == MOVED_AFTER)
        self.ended.append(shown.join(moved, on=KEY, how="anti"))
        if moved.is_empty():
            return landed.clear()
        return self._explained_by_order(moved) if self.reread is None else self._explained_by_plan(moved)

    def _explained_by_order(self, moved: Frame) -> Frame:
        known = moved.select(KEY).clear() if self.by_order is None else self.by_order(moved).select(KEY)
        self.ended.append(moved.join(known, on=KEY, how="semi"))
        self.ended.append(verify.overwritten(moved.join(known, on=KEY, how="anti")))
        return moved.clear()

    def _explained_by_plan(self, moved: Frame) -> Frame:
        """A fresh plan that has nothing to do is the explanation: an order took the units, and the target follows it."""
        assert self.reread is not None
        self.passes += 1
        fresh = plan.decide(self.reread(moved.select(list(tables.VARIANCES))))
        self.ended.append(moved.join(fresh.already_right, on=KEY, how="semi"))
        self.ended.append(verify.outcome(fresh.held, HELD, reason=pl.col("held")))
        if self.passes < PASSES and fresh.adjustments.height:
            return self.way.send(fresh.adjustments.sort("target", *KEY))
        self.ended.append(verify.overwritten(moved.join(fresh.adjustments, on=KEY, how="semi")))
        return moved.clear()


def _unplaced(judged: Frame) -> tuple[Frame, Frame]:
    """Rows of batches that were refused without a name: those that stood alone, and those with `beside` others."""
    counted = judged.with_columns(beside=pl.len().over("part", "line")).filter(pl.col("answer") == "unplaced")
    return counted.filter(pl.col("beside") == 1), counted.filter(pl.col("beside") > 1)


def _of(judged: Frame, answer: str) -> Frame:
    return judged.filter(pl.col("answer") == answer).select(list(tables.VARIANCES))


def _named(judged: Frame, answer: str) -> Frame:
    return _outcome(judged.filter(pl.col("answer") == answer), answer)


def _outcome(rows: Frame, name: str) -> Frame:
    return verify.outcome(rows, name, reason=pl.col("code"), message=pl.col("message"))


def rows_of(path: Path) -> Frame:
    """VARIANCES of the changes in a file of adjustments, completed from the plan beside it."""
    changes = bulkfile.read(path).select(*KEY, sent="delta", was="changed_from")
    plan_file = path.with_name("plan.parquet")
    planned = pl.scan_parquet(plan_file) if plan_file.exists() else tables.empty(tables.VARIANCES).lazy()
    planned = tables.completed(planned, tables.VARIANCES).join(changes.lazy(), on=KEY, how="semi")
    rows = changes.join(planned.collect(engine="streaming"), on=KEY, how="left").with_columns(
        delta="sent", available=pl.coalesce("was", "available"), held=pl.lit(None, dtype=pl.String)
    )
    return tables.conform(rows, tables.VARIANCES, "plan")


def replay(way: Delivery, file: Pending) -> Frame:
    """OUTCOMES of a file that an earlier run left open, sent again: the same bytes under the same keys."""
    outcomes = _replayed(way, file)
    way.close()
    return outcomes


def _replayed(way: Delivery, file: Pending) -> Frame:
    """OUTCOMES of the file.

    Unguarded rows of batches that Shopify refused are carried on, unless a later file of that run did so already;
    guarded ones are left to the next plan, and give back the events that they would have covered.
    """
    judged = way.deliver(file.path, file.part, rows_of(file.path), file.transport)  # type: ignore[arg-type]
    if file.guarded:
        done = judged.filter(pl.col("answer").is_in(["landed", "unknown"]))
        way.state.outbox.release(way.lease.shop, file.run_id, judged.join(done, on=KEY, how="anti"))
        left = judged.filter(~pl.col("answer").is_in(["landed", "unknown", "refused"]))
        judged = judged.join(left, on=KEY, how="anti")
        return pl.concat([drive(way, judged, by_order=_anything), verify.outcome(left, HELD, reason=pl.lit(MOVING))])
    later = [path for part, path in way.state.outbox.parts(file.run_id) if part > file.part]
    if gone := [path.name for path in later if not path.exists()]:
        return _half_known(way, judged, f"it may stand in {gone[0]}, which is gone")
    carried = pl.concat(
        [tables.empty(tables.VARIANCES).select(KEY), *(bulkfile.read(path).select(KEY) for path in later)]
    )
    return drive(way, judged.join(carried, on=KEY, how="anti"), by_order=_anything)


def _half_known(way: Delivery, judged: Frame, why: str) -> Frame:
    """OUTCOMES of a replay of which a later file is gone: what that one may have carried on for is not known."""
    named = judged["answer"].is_in(["landed", "unknown", "refused"])
    left = verify.outcome(judged.filter(~named), UNKNOWN, message=pl.lit(why))
    way.state.outbox.release(way.lease.shop, way.run_id, left, status="unknown")
    return pl.concat([drive(way, judged.filter(named), by_order=_anything), left])


def _anything(moved: Frame) -> Frame:
    """Every pair: what moved since the run that was cut short is read afresh by the one that follows it."""
    return moved
