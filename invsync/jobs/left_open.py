"""What an earlier run of a shop left open: sent again under the same keys, or judged by what Shopify shows."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import polars as pl

from invsync import bulkfile, tables
from invsync.jobs import delivery
from invsync.jobs.context import Context
from invsync.jobs.values import Settled
from invsync.runs import record
from invsync.state import Pending
from invsync.tables import KEY
from invsync.vocabulary import REFUSED, UNKNOWN

REPLAY_HOURS = 23
CLOCKS_DIFFER = timedelta(minutes=10)


def settle(context: Context, *, dry_run: bool) -> Settled:
    """Close what an earlier run of this shop left open, before any work of this run's own."""
    pending = context.state.outbox.pending(context.kept_as)
    if dry_run:
        open_ = (f"Run {file.run_id} left {file.path.name} open; a dry run does not send it." for file in pending)
        return Settled(messages=tuple(open_))
    settling = _Settling(context)
    for file, there in [(file, settling.there(file) if _is_young(context, file) else None) for file in pending]:
        settling.replay(there) if there is not None else settling.expire(file)
    return Settled(tuple(settling.products), tuple(settling.messages), tuple(settling.faults))


def is_whole(file: Pending) -> bool:
    """Whether the file is on this disk as it was committed."""
    return file.path.exists() and bulkfile.kept(file.path).sha256 == file.sha256


def _is_young(context: Context, file: Pending) -> bool:
    return context.state.now() - file.committed_at < timedelta(hours=REPLAY_HOURS)


@dataclass(frozen=True)
class _Settling:
    """The files of earlier runs under way, with what is to be said of them."""

    context: Context
    products: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def _fault(self, message: str) -> None:
        self.messages.append(message)
        self.faults.append(message)

    def there(self, file: Pending) -> Pending | None:
        """The file as it was committed: on this disk, else from the database; None where neither has it."""
        if is_whole(file):
            return file
        outbox = self.context.state.outbox
        content = outbox.content(file)
        if content is None:
            return None
        job = file.path.parts[-3]
        folder = self.context.folder.parents[1] / job / file.run_id
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / file.path.name
        path.write_bytes(content)
        self._fault(
            f"{file.path.name} of run {file.run_id} was gone from its folder, or changed since its commit: it was "
            f"restored from the state database to {folder}; find out who moves or edits the files of runs."
        )
        return outbox.moved(file, path)

    def replay(self, file: Pending) -> None:
        """Send the file again under its keys."""
        context = self.context
        record.reserve(context.folder)
        way = delivery.way(context, file.run_id, file.path.parent, guarded=file.guarded)
        way.part = max(part for part, _ in context.state.outbox.parts(file.run_id))
        outcomes = delivery.replay(way, file)
        products = tables.empty(tables.PRODUCTS)
        _keep(file.path.with_name("outcomes.parquet"), context.with_products(outcomes, products))
        self.products.extend(outcomes["product_id"].drop_nulls().unique().to_list())
        counts = record.counts(outcomes)
        ended = ", ".join(f"{counts[name]} {name.replace('_', ' ')}" for name in counts if counts[name])
        self.messages.append(
            f"Run {file.run_id} was cut short: its {file.path.name} was sent again under the same keys ({ended})."
        )
        if not file.guarded:
            refused = outcomes.filter(pl.col("outcome") == REFUSED)
            context.state.outbox.release(context.kept_as, file.run_id, refused, status=REFUSED)
        if counts[UNKNOWN]:
            self._fault(
                f"The outcome of {counts[UNKNOWN]} changes in {file.path.name} of run {file.run_id} is not "
                "known yet: the next run asks again under the same keys."
            )

    def expire(self, file: Pending) -> None:
        """Judge a file that must not be sent again by what Shopify shows: untouched since, or for a person."""
        context, outbox = self.context, self.context.state.outbox
        whole = is_whole(file)
        why = f"is older than {REPLAY_HOURS} hours" if whole else "is gone or was changed"
        claimed = outbox.claims(context.kept_as, run_id=file.run_id).select(KEY).unique()
        claimed = claimed.join(bulkfile.read(file.path), on=KEY, how="semi") if whole else claimed
        begun = outbox.first_commit(file.run_id)
        untouched = context.shopify.changed_at(claimed).filter(pl.col("changed_at") < begun - CLOCKS_DIFFER)
        doubtful = claimed.join(untouched, on=KEY, how="anti")
        outbox.release(context.kept_as, file.run_id, untouched)
        outbox.release(context.kept_as, file.run_id, doubtful, status=UNKNOWN)
        outbox.settle(file.run_id, file.part, "expired")
        self.messages.append(
            f"{file.path.name} of run {file.run_id} {why}: it is not sent again, its pairs are read afresh."
        )
        if doubtful.height and not file.guarded:
            self.messages.append(
                f"{doubtful.height} of its pairs changed on Shopify since, so whether their deltas were counted is "
                f"not known ({file.path.parent})."
            )


def _keep(path: Path, outcomes: pl.DataFrame) -> None:
    before = [tables.completed(pl.read_parquet(path), tables.OUTCOMES_FILE)] if path.exists() else []
    pl.concat([*before, outcomes]).unique(KEY, keep="last", maintain_order=True).write_parquet(path)
