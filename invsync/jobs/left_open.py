"""What an earlier run of this shop left open: sent again under the same keys, or judged by what Shopify shows."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from invsync import bulkfile, tables
from invsync.jobs import delivery
from invsync.runs import record
from invsync.state import Pending
from invsync.tables import KEY
from invsync.vocabulary import REFUSED, UNKNOWN

if TYPE_CHECKING:
    from invsync.jobs.run import Run

REPLAY_HOURS = 23
CLOCKS_DIFFER = timedelta(minutes=10)


def settle(run: Run) -> None:
    """Close what an earlier run of this shop left open, before any work of this run's own."""
    pending = run.state.outbox.pending(run.kept_as)
    if run.given.dry_run:
        for file in pending:
            run.say(f"Run {file.run_id} left {file.path.name} open; a dry run does not send it.")
        return
    for file, there in [(file, _there(run, file) if _is_young(run, file) else None) for file in pending]:
        if there is not None:
            _replay(run, there)
        else:
            _expire(run, file)


def _is_young(run: Run, file: Pending) -> bool:
    return run.state.now() - file.committed_at < timedelta(hours=REPLAY_HOURS)


def _there(run: Run, file: Pending) -> Pending | None:
    """The file as it was committed: on this disk, else from the database; None where neither has it."""
    if is_whole(file):
        return file
    content = run.state.outbox.content(file)
    if content is None:
        return None
    job = file.path.parts[-3]
    folder = run.folder.parents[1] / job / file.run_id
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file.path.name
    path.write_bytes(content)
    run.needs_a_person(
        f"{file.path.name} of run {file.run_id} was gone from its folder, or changed since its commit: it was "
        f"restored from the state database to {folder}; find out who moves or edits the files of runs."
    )
    return run.state.outbox.moved(file, path)


def is_whole(file: Pending) -> bool:
    """Whether the file is on this disk as it was committed."""
    return file.path.exists() and bulkfile.kept(file.path).sha256 == file.sha256


def _replay(run: Run, file: Pending) -> None:
    record.reserve(run.folder)
    way = run.way(file.run_id, file.path.parent, guarded=file.guarded)
    way.part = max(part for part, _ in run.state.outbox.parts(file.run_id))
    outcomes = delivery.replay(way, file)
    _keep(file.path.with_name("outcomes.parquet"), outcomes)
    run.reopened += outcomes["product_id"].drop_nulls().unique().to_list()
    counts = record.counts(outcomes)
    ended = ", ".join(f"{counts[name]} {name.replace('_', ' ')}" for name in counts if counts[name])
    run.say(f"Run {file.run_id} was cut short: its {file.path.name} was sent again under the same keys ({ended}).")
    if not file.guarded:
        refused = outcomes.filter(pl.col("outcome") == REFUSED)
        run.state.outbox.release(run.kept_as, file.run_id, refused, status=REFUSED)
    if counts[UNKNOWN]:
        run.needs_a_person(
            f"The outcome of {counts['unknown']} changes in {file.path.name} of run {file.run_id} is not "
            "known yet: the next run asks again under the same keys."
        )


def _expire(run: Run, file: Pending) -> None:
    """Judge a file that must not be sent again by what Shopify shows: untouched since, or for a person."""
    whole = is_whole(file)
    why = f"is older than {REPLAY_HOURS} hours" if whole else "is gone or was changed"
    claimed = run.state.outbox.claims(run.kept_as, run_id=file.run_id).select(KEY).unique()
    claimed = claimed.join(bulkfile.read(file.path), on=KEY, how="semi") if whole else claimed
    begun = run.state.outbox.first_commit(file.run_id)
    untouched = run.shopify.changed_at(claimed).filter(pl.col("changed_at") < begun - CLOCKS_DIFFER)
    doubtful = claimed.join(untouched, on=KEY, how="anti")
    run.state.outbox.release(run.kept_as, file.run_id, untouched)
    run.state.outbox.release(run.kept_as, file.run_id, doubtful, status=UNKNOWN)
    run.state.outbox.settle(file.run_id, file.part, "expired")
    run.say(f"{file.path.name} of run {file.run_id} {why}: it is not sent again, its pairs are read afresh.")
    if file.guarded:
        return
    if doubtful.height:
        run.say(
            f"{doubtful.height} of its pairs changed on Shopify since, so whether their deltas were counted is "
            f"not known ({file.path.parent})."
        )


def _keep(path: Path, outcomes: pl.DataFrame) -> None:
    before = [tables.completed(pl.read_parquet(path), tables.OUTCOMES)] if path.exists() else []
    pl.concat([*before, outcomes]).unique(KEY, keep="last", maintain_order=True).write_parquet(path)
