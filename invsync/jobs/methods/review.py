"""Runs that start from another run: a reviewed plan sent as it stands, and the inverse of a run as a plan."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from invsync import bulkfile, delta, tables
from invsync.errors import GuardStopped, UsageError
from invsync.jobs.context import Context
from invsync.jobs.methods.resets import is_overwritten
from invsync.jobs.values import PlanSelection, Settled
from invsync.ledger.reading import Reading
from invsync.runs import record
from invsync.state import CLAIMS, State
from invsync.tables import KEY
from invsync.vocabulary import DELTAS, HELD, LANDED, MOVED_AFTER, PLANNED, REFUSED, UNKNOWN


@dataclass(frozen=True)
class Earlier:
    """An earlier run: its shop, its job, and its folder."""

    shop: str
    job: str
    folder: Path

    @property
    def run_id(self) -> str:
        """The run's id, which is the name of its folder."""
        return self.folder.name


def earlier(state: State, run_id: str, *, planned: bool) -> Earlier:
    """An earlier run whose plan can be applied, or that can be undone; a UsageError where it is neither."""
    row = state.runs.one(run_id)
    if row is None:
        raise UsageError(f"Run {run_id} is unknown to this state database: correct the run id or --config.")
    if planned != (row["status"] == PLANNED):
        wanted = "a dry run, whose plan can be applied" if planned else "a run that sent something"
        raise UsageError(f"Run {run_id} ended as {row['status']}, which is not {wanted}: name another run.")
    folder = Path(row["folder"])
    if not (folder / "plan.parquet").exists():
        raise UsageError(f"The files of run {run_id} are gone from {folder}: make a new dry run.")
    return Earlier(row["shop"], row["job"], folder)


@dataclass(frozen=True)
class Applied:
    """Sends a dry run's files byte by byte, if they are fresh; what moved meanwhile is held, never planned again."""

    context: Context
    earlier: Earlier

    def select(self, settled: Settled) -> PlanSelection:
        """The pairs of the plan, whose window ends where the dry run's did; the inverse of a run has none."""
        self._check()
        planned = self.context.state.runs.one(self.earlier.run_id)
        reviewed = record.read(self.earlier.folder)
        plan = pl.read_parquet(self.earlier.folder / "plan.parquet")
        rows = tables.completed(plan, tables.VARIANCES).select(list(tables.VARIANCES))
        products = tables.completed(plan, tables.PRODUCTS).select(list(tables.PRODUCTS))
        end = datetime.fromisoformat(planned["thru"]) if planned else self.context.thru
        selected = _selected(self.context, settled, rows, end, advances=reviewed is None or reviewed.undoes is None)
        return replace(selected, products=products.unique("inventory_item_id"))

    def read(self, selection: PlanSelection) -> Reading:
        """The plan as it was reviewed."""
        return Reading(variances=selection.variances)

    def _check(self) -> None:
        """Stop when the plan is too old, overtaken, or not the one that was reviewed."""
        context, run_id = self.context, self.earlier.run_id
        reviewed, planned = record.read(self.earlier.folder), context.state.runs.one(run_id)
        if reviewed is None or reviewed.finished is None:
            self._refuse("its run.json is gone")
            return
        hashes = {file.name: file.sha256 for file in reviewed.files}
        changed = [path.name for path in files(self.earlier) if bulkfile.kept(path).sha256 != hashes.get(path.name)]
        later = context.state.outbox.sent_since(context.kept_as, (planned and planned["fence"]) or 0)
        if changed:
            self._refuse(f"{changed[0]} is not the file that was reviewed")
        if datetime.now(UTC) - reviewed.finished > timedelta(minutes=context.shop.plan_max_age):
            self._refuse(f"it is older than {context.shop.plan_max_age} minutes")
        if later:
            self._refuse(f"run {later} has sent changes since, or was about to")
        if context.job == DELTAS and (why := context.state.shops.needs_hard_sync(context.kept_as)):
            self._refuse(f"{why}, until a hard sync counts anew")

    def _refuse(self, why: str) -> None:
        raise GuardStopped(
            f"Nothing was sent: the plan of run {self.earlier.run_id} is stale, {why}; make a new dry run."
        )

    def claims(self, selection: PlanSelection, reading: Reading, pairs: pl.DataFrame) -> pl.DataFrame:
        """CLAIMS of the stock events that the dry run would have counted, now by this run."""
        planned = pl.read_parquet(self.earlier.folder / "claims.parquet")
        return planned.with_columns(run_id=pl.lit(self.context.run_id)).join(pairs, on=KEY, how="semi")

    def remember(self, selection: PlanSelection, reading: Reading, outcomes: pl.DataFrame) -> None:
        """Give back the events of what did not land; the next run looks at what is not known, or was overwritten."""
        state, kept_as, run_id = self.context.state, self.context.kept_as, self.context.run_id
        unsure = (pl.col("outcome") == UNKNOWN) | is_overwritten()
        state.memory.watch(self.context.name, outcomes.filter(unsure))
        wrong = outcomes.filter(pl.col("outcome").is_in([REFUSED, HELD]), ~is_overwritten())
        mine = state.outbox.claims(kept_as, run_id=run_id).select(KEY).unique()
        state.outbox.release(kept_as, run_id, wrong.join(mine, on=KEY, how="semi"))


@dataclass(frozen=True)
class Undone:
    """Plans the inverse of what a run changed, against what Shopify shows now; the stock events stay counted.

    Each pair that is undone is claimed, so that it is undone once.
    """

    context: Context
    earlier: Earlier

    def select(self, settled: Settled) -> PlanSelection:
        """The pairs that the other run changed, and that no run has undone yet."""
        return _selected(self.context, settled, self._inverse(), self.context.thru, advances=False)

    def read(self, selection: PlanSelection) -> Reading:
        """What landed and is not undone yet, turned around."""
        return Reading(variances=selection.variances)

    def reread(self, selection: PlanSelection, pairs: pl.DataFrame) -> Reading:
        """The inverse of these pairs, against what Shopify shows now."""
        return Reading(variances=self._inverse().join(pairs, on=KEY, how="semi"))

    def guarded(
        self, selection: PlanSelection, reading: Reading, rows: pl.DataFrame
    ) -> list[tuple[bool, pl.DataFrame]]:
        """The rows, all guarded by what was read."""
        return [(True, rows)]

    def reasons(self, selection: PlanSelection, reading: Reading) -> pl.DataFrame | None:
        """None: one adjustment reason serves every pair."""
        return None

    def _inverse(self) -> pl.DataFrame:
        """VARIANCES whose target is the available of now less what the run added."""
        outcomes = tables.completed(pl.read_parquet(self.earlier.folder / "outcomes.parquet"), tables.OUTCOMES)
        landed = outcomes.filter(
            pl.col("outcome").is_in(LANDED),
            pl.col("reason").is_null() | (pl.col("reason") == MOVED_AFTER),
            pl.col("delta") != 0,
        )
        landed = self._left(landed)
        shown = ["available", "is_active", "tracked", "requires_components"]
        levels = self.context.shopify.levels(landed).select(*KEY, *shown)
        now = (
            landed.drop(shown)
            .join(levels, on=KEY, how="left")
            .with_columns(
                delta=-pl.col("delta"),
                target=(pl.col("available") - pl.col("delta")).cast(pl.Float64),
                held=pl.lit(None, dtype=pl.String),
            )
        )
        return tables.conform(now, tables.VARIANCES, "variances")

    def _left(self, landed: pl.DataFrame) -> pl.DataFrame:
        mine = self._claims(landed)
        taken = self.context.state.outbox.claims(self.context.kept_as, events=mine["event_id"])
        left = landed.join(delta.unclaimed(mine, taken), on=KEY, how="semi")
        if landed.height and left.is_empty():
            last = taken["run_id"].sort()[-1]
            raise UsageError(f"Run {self.earlier.run_id} was undone by run {last}: nothing of it is left.")
        return left

    def claims(self, selection: PlanSelection, reading: Reading, pairs: pl.DataFrame) -> pl.DataFrame:
        """CLAIMS of each pair's being undone, and of no stock event: an undone delta is not pushed again."""
        return self._claims(pairs)

    def _claims(self, pairs: pl.DataFrame) -> pl.DataFrame:
        undone = pl.concat_str(pl.lit(f"undo/{self.earlier.run_id}/"), "inventory_item_id")
        run_id = pl.lit(self.context.run_id)
        rows = pairs.select(*KEY, event_id=undone, status=pl.lit("sent"), run_id=run_id, created_at=None)
        return tables.conform(rows, CLAIMS, "claims")

    def remember(self, selection: PlanSelection, reading: Reading, outcomes: pl.DataFrame) -> None:
        """Nothing: a plan is only made, and not sent."""


def files(run: Earlier) -> list[Path]:
    """The files of changes of an earlier run, in their order."""
    return sorted(run.folder.glob("adjustments*.jsonl"), key=lambda path: (len(path.name), path.name))


def _selected(
    context: Context, settled: Settled, rows: pl.DataFrame, end: datetime, *, advances: bool
) -> PlanSelection:
    return PlanSelection(
        settled,
        rows.select(list(tables.PAIRS)),
        tables.empty(tables.MAPPING_HELD),
        rows.height,
        context.mapped(),
        context.stock_rows(),
        thru=end,
        advances=advances,
        variances=rows,
    )
