"""Send a plan until every pair has an outcome: commit, deliver, judge, plan again, halve, read back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from invsync import bulkfile, plan, tables, verify
from invsync.diff import KEY
from invsync.shopify import Shopify
from invsync.state import Pending, State

PASSES = 3
Reread = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass
class Delivery:
    """One run's way to Shopify: its folder, its outbox, and what has been sent so far."""

    shop: str
    run_id: str
    folder: Path
    state: State
    shopify: Shopify
    transport: str
    part: int = 0
    used: str | None = None
    operation_ids: list[str] = field(default_factory=list)

    def send(self, adjustments: pl.DataFrame, size: int) -> pl.DataFrame:
        """Commit files of these rows and deliver them; the ANSWERS of every change."""
        paths = bulkfile.write(adjustments, self.folder, run_id=self.run_id, first_part=self.part + 1, size=size)
        for number, path in enumerate(paths, self.part + 1):
            self.state.commit(self.shop, self.run_id, number, path, bulkfile.kept(path).sha256, self.transport)
        self.part += len(paths)
        return pl.concat([self._deliver(path, self.part - len(paths) + n) for n, path in enumerate(paths, 1)])

    def _deliver(self, path: Path, part: int) -> pl.DataFrame:
        result = self.folder / bulkfile.file_name("result", part)
        delivered = self.shopify.submit(path, result, transport=self.transport)  # type: ignore[arg-type]
        self.used = delivered.transport
        self.operation_ids += delivered.operation_ids
        self.state.beat(self.shop, self.run_id)
        answers = verify.answers(path, result)
        if not (answers["answer"] == "unknown").any():
            self.state.settle(self.run_id, part, "answered")
        return answers


def deliver(delivery: Delivery, adjustments: pl.DataFrame, reread: Reread) -> pl.DataFrame:
    """OUTCOMES of the adjustments: each lands, is refused by name, needs nothing any more, or is deferred."""
    ended: list[pl.DataFrame] = []
    size, stale_passes, pending = bulkfile.CHANGES_A_LINE, 0, adjustments
    landed: list[pl.DataFrame] = []
    while pending.height:
        judged = pending.join(delivery.send(pending, size), on=KEY)
        landed.append(_of(judged, "landed"))
        ended += [_ended(judged, "refused"), _ended(judged, "unknown")]
        unplaced = judged.filter(pl.col("answer") == "unplaced")
        if size == 1:
            ended.append(_named(unplaced, "refused"))
            unplaced = unplaced.clear()
        stale = _of(judged, "stale")
        stale_passes += bool(stale.height)
        again = _planned_again(stale, reread, ended, last=stale_passes >= PASSES)
        pending = pl.concat([_of(judged, "innocent"), unplaced.select(list(tables.VARIANCES)), again]).sort(
            "target", *KEY
        )
        size = max(1, size // 2) if unplaced.height else size
    sent = pl.concat(landed) if landed else tables.empty(tables.VARIANCES)
    if sent.height:
        ended.append(verify.read_back(sent, delivery.shopify.levels(sent)))
    return pl.concat(ended) if ended else tables.empty(tables.OUTCOMES)


def _planned_again(stale: pl.DataFrame, reread: Reread, ended: list[pl.DataFrame], *, last: bool) -> pl.DataFrame:
    """The adjustments of fresh reads of the stale pairs; after the last pass they are deferred as moving."""
    if not stale.height:
        return stale
    if last:
        ended.append(verify.outcome(stale, "held", reason=pl.lit("moving")))
        return stale.clear()
    fresh = plan.decide(reread(stale))
    ended.append(verify.outcome(fresh.already_right, "superseded", reason=pl.lit("moved_before_the_write")))
    ended.append(verify.outcome(fresh.held, "held", reason=pl.col("held")))
    return fresh.adjustments


def _of(judged: pl.DataFrame, answer: str) -> pl.DataFrame:
    return judged.filter(pl.col("answer") == answer).select(list(tables.VARIANCES))


def _ended(judged: pl.DataFrame, answer: str) -> pl.DataFrame:
    return _named(judged.filter(pl.col("answer") == answer), answer)


def _named(rows: pl.DataFrame, outcome: str) -> pl.DataFrame:
    return verify.outcome(rows, outcome, reason=pl.col("code"), message=pl.col("message"))


def settle(file: Pending, state: State, shopify: Shopify) -> str:
    """Send a file that an earlier run left open again: the same bytes under the same keys."""
    result = file.path.with_name(bulkfile.file_name("result", file.part))
    shopify.submit(file.path, result, transport=file.transport)  # type: ignore[arg-type]
    answers = verify.answers(file.path, result)
    unknown = (answers["answer"] == "unknown").any()
    if not unknown:
        state.settle(file.run_id, file.part, "answered")
    landed = answers.filter(pl.col("answer") == "landed").height
    return (
        f"Run {file.run_id} was cut short: its {file.path.name} was sent again under the same keys, "
        f"{landed} of {answers.height} changes stand{', some without an answer yet' if unknown else ''}."
    )
