"""Runs that start from another run: a reviewed plan sent as it stands, and the inverse of a run as a plan."""

import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from invsync import bulkfile, delta, plan, tables
from invsync.errors import GuardStopped, UsageError
from invsync.jobs import delivery
from invsync.jobs.resets import is_overwritten
from invsync.jobs.run import Run, Selection
from invsync.runs import record
from invsync.state import CLAIMS, File, State
from invsync.tables import KEY
from invsync.vocabulary import DELTAS, HELD, LANDED, MOVED_AFTER, PLANNED, REFUSED, UNKNOWN


def earlier(state: State, run_id: str, *, planned: bool) -> tuple[str, str, Path]:
    """Shop, job and folder of an earlier run; a usage error when it is unknown or of the wrong kind."""
    row = state.runs.one(run_id)
    if row is None:
        raise UsageError(f"Run {run_id} is unknown to this state database: correct the run id or --config.")
    if planned != (row["status"] == PLANNED):
        wanted = "a dry run, whose plan can be applied" if planned else "a run that sent something"
        raise UsageError(f"Run {run_id} ended as {row['status']}, which is not {wanted}: name another run.")
    folder = Path(row["folder"])
    if not (folder / "plan.parquet").exists():
        raise UsageError(f"The files of run {run_id} are gone from {folder}: make a new dry run.")
    return row["shop"], row["job"], folder


@dataclass
class Following(Run):
    """A run that takes its pairs from another run's folder; the notebook's questions are answered from there."""

    source: Path = field(default_factory=Path)

    def select(self) -> Selection:
        """The pairs of the other run."""
        rows = self.rows()
        self.selection = Selection(
            rows.select(list(tables.PAIRS)),
            tables.empty(tables.MAPPING_HELD),
            self.mapped(),
            self.stock_rows(),
            whole=False,
        )
        self.summary["counts"]["read"] = rows.height
        return self.selection

    def events(self) -> pl.DataFrame:
        """CLAIMS: the stock events that the other run counted."""
        self.select()
        return self.state.outbox.claims(self.kept_as, run_id=self.source.name)

    def variances(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """VARIANCES of the other run's pairs."""
        return self.rows()

    def changes(self) -> pl.DataFrame:
        """VARIANCES of the other run's pairs."""
        return self.rows()

    def rows(self) -> pl.DataFrame:
        """VARIANCES as this run sees them."""
        raise NotImplementedError


@dataclass
class Applied(Following):
    """Send a dry run's files byte by byte, if they are fresh; what moved meanwhile is held, never planned again."""

    def select(self) -> Selection:
        """The pairs of the plan, whose window ends where the dry run's did; the inverse of a run has none."""
        planned = self.state.runs.one(self.source.name)
        assert planned is not None, "earlier() found it"
        self.thru = datetime.fromisoformat(planned["thru"])
        self.windowed = "undoes" not in (record.read(self.source) or {})
        return super().select()

    def rows(self) -> pl.DataFrame:
        """The plan as it was reviewed."""
        self._check()
        return tables.completed(pl.read_parquet(self.source / "plan.parquet"), tables.VARIANCES)

    def _files(self) -> list[Path]:
        return sorted(self.source.glob("adjustments*.jsonl"), key=lambda path: (len(path.name), path.name))

    def _check(self) -> None:
        """Stop when the plan is too old, overtaken, or not the one that was reviewed."""
        reviewed, planned = record.read(self.source) or {}, self.state.runs.one(self.source.name)
        planned_at = datetime.fromisoformat(reviewed["finished_at"])
        hashes = {file["name"]: file["sha256"] for file in reviewed["files"]}
        changed = [path.name for path in self._files() if bulkfile.kept(path).sha256 != hashes.get(path.name)]
        later = self.state.outbox.sent_since(self.kept_as, (planned and planned["fence"]) or 0)
        if changed:
            self._refuse(f"{changed[0]} is not the file that was reviewed")
        if datetime.now(UTC) - planned_at > timedelta(minutes=self.shop.plan_max_age):
            self._refuse(f"it is older than {self.shop.plan_max_age} minutes")
        if later:
            self._refuse(f"run {later} has sent changes since, or was about to")
        if self.given.job == DELTAS and (why := self.state.shops.needs_hard_sync(self.kept_as)):
            self._refuse(f"{why}, until a hard sync counts anew")

    def _refuse(self, why: str) -> None:
        raise GuardStopped(f"Nothing was sent: the plan of run {self.source.name} is stale, {why}; make a new dry run.")

    def decide(self, variances: pl.DataFrame) -> plan.Plan:
        """The plan as it was decided; its guards were checked then."""
        decided = plan.decide(variances)
        for name in ("plan.parquet", "mutation.graphql"):
            shutil.copyfile(self.source / name, self.folder / name)
        self._count(decided, variances)
        return decided

    def _deliver(self, decided: plan.Plan) -> pl.DataFrame:
        files, rows = self._copied(), decided.adjustments
        if rows.is_empty():
            (self.folder / bulkfile.file_name("result", 1)).touch()
            return tables.empty(tables.OUTCOMES)
        claims = pl.read_parquet(self.source / "claims.parquet").with_columns(run_id=pl.lit(self.run_id))
        part, sent = len(files), tables.empty(tables.OUTCOMES)
        for guarded, group in self._alike(files):
            way = self.way(self.run_id, self.folder, guarded=guarded)
            way.part = part
            mine = pl.concat([bulkfile.read(file.path).select(KEY) for file in group])
            judged = way.send_files(group, rows.join(mine, on=KEY, how="semi"), claims.join(mine, on=KEY, how="semi"))
            sent, part = pl.concat([sent, delivery.drive(way, judged, by_order=self.moved_by_order)]), way.part
            self._used(way)
        return sent

    def _alike(self, files: list[File]) -> list[tuple[bool, list[File]]]:
        """The files that have changes, those without a guard first."""
        guards = [(bulkfile.read(file.path)["changed_from"], file) for file in files]
        blind = [file for was, file in guards if was.len() and was.is_null().any()]
        guarded = [file for was, file in guards if was.len() and was.is_not_null().all()]
        return [(kind, group) for kind, group in ((False, blind), (True, guarded)) if group]

    def _copied(self) -> list[File]:
        copies = [Path(shutil.copyfile(path, self.folder / path.name)) for path in self._files()]
        return [File(part, path, bulkfile.kept(path).sha256) for part, path in enumerate(copies, 1)]

    def settled(self, outcomes: pl.DataFrame) -> None:
        """Give back the events of what did not land; the next run looks at what is not known, or was overwritten."""
        self.state.memory.watch(self.given.shop, outcomes.filter((pl.col("outcome") == UNKNOWN) | is_overwritten()))
        wrong = outcomes.filter(pl.col("outcome").is_in([REFUSED, HELD]), ~is_overwritten())
        mine = self.state.outbox.claims(self.kept_as, run_id=self.run_id).select(KEY).unique()
        self.state.outbox.release(self.kept_as, self.run_id, wrong.join(mine, on=KEY, how="semi"))


@dataclass
class Undone(Following):
    """Plan the inverse of what a run changed, against what Shopify shows now; the stock events stay counted.

    Each pair that is undone is claimed, so that it is undone once.
    """

    def rows(self) -> pl.DataFrame:
        """What landed and is not undone yet, turned around: target is the available of now less what the run added."""
        outcomes = tables.completed(pl.read_parquet(self.source / "outcomes.parquet"), tables.OUTCOMES)
        landed = outcomes.filter(
            pl.col("outcome").is_in(LANDED),
            pl.col("reason").is_null() | (pl.col("reason") == MOVED_AFTER),
            pl.col("delta") != 0,
        )
        landed = self._left(landed)
        shown = ["available", "is_active", "tracked", "requires_components"]
        levels = self.shopify.levels(landed).select(*KEY, *shown)
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
        mine = self.claims(landed)
        taken = self.state.outbox.claims(self.kept_as, events=mine["event_id"])
        left = landed.join(delta.unclaimed(mine, taken), on=KEY, how="semi")
        if landed.height and left.is_empty():
            raise UsageError(
                f"Run {self.source.name} was undone by run {taken['run_id'].sort()[-1]}: nothing of it is left."
            )
        return left

    def claims(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """CLAIMS of each pair's being undone, and of no stock event: an undone delta is not pushed again."""
        undone = pl.concat_str(pl.lit(f"undo/{self.source.name}/"), "inventory_item_id")
        rows = pairs.select(*KEY, event_id=undone, status=pl.lit("sent"), run_id=pl.lit(self.run_id), created_at=None)
        return tables.conform(rows, CLAIMS, "claims")
