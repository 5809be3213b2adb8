"""Whether the state database and the run folders are well: each finding in one sentence, with what to do."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from invsync.config import settings
from invsync.config.settings import Settings
from invsync.doctor.findings import Check, Status, some
from invsync.jobs.left_open import REPLAY_HOURS, is_whole
from invsync.runs import record
from invsync.state import Pending, State, database
from invsync.state.inside import Inside
from invsync.state.keeping import Kept
from invsync.upkeep import folders
from invsync.upkeep.pruning import would_go
from invsync.upkeep.shops import before, shops
from invsync.vocabulary import CLOSED

UNITS = ("bytes", "KB", "MB", "GB", "TB")


def check(config: Path) -> list[Check]:
    """Every finding about the state of all shops and what their runs left on the disk; nothing is changed."""
    configured = settings.load(config)
    with closing(State(configured.state.url)) as state:
        inside = Inside(state.engine)
        if damaged := inside.faults():
            return [*_file(state, inside), _damage(damaged)]
        kept = shops(configured, state)
        return [
            *_database(state, inside),
            *_shops(state, inside),
            *_files(state, inside),
            *_claims(inside),
            *_folders(configured, state, kept),
            *_retention(configured, state, kept),
        ]


def _file(state: State, inside: Inside) -> Iterator[Check]:
    size = inside.size()
    what = f"{state.engine.dialect.name} {database.name(state.engine)}, revision {database.version(state.engine)}"
    yield Check("database", "file", "ok", f"{what}{f', {_size(size)}' if size is not None else ''}.")


def _damage(faults: list[str]) -> Check:
    """All that can be said of a database that is damaged: what else it holds cannot be trusted."""
    return Check(
        "database",
        "integrity",
        "fault",
        f"It is damaged ({faults[0]}): restore it from a backup, then run hard-sync for each shop.",
    )


def _database(state: State, inside: Inside) -> Iterator[Check]:
    yield from _file(state, inside)
    yield Check("database", "rows", "ok", ", ".join(f"{name} {count}" for name, count in inside.rows().items()) + ".")
    yield Check("database", "integrity", "ok", "The database is whole.")


def _size(count: int) -> str:
    size, units = float(count), iter(UNITS)
    unit = next(units)
    while size >= 1000 and unit != UNITS[-1]:
        size, unit = size / 1000, next(units)
    return f"{size:.0f} {unit}" if unit == UNITS[0] else f"{size:.1f} {unit}"


def _shops(state: State, inside: Inside) -> Iterator[Check]:
    for row in inside.leases():
        at_work = state.holder(row["shop"]) is not None
        held = f"Run {row['run_id']} (process {row['pid']} on {row['host']}) {'is' if at_work else 'was'} at work on {row['shop']}"
        more = "." if at_work else " and is gone or silent: the next run takes over."
        yield Check("shops", "lease", "ok" if at_work else "warning", f"{held}{more}")
    if not inside.leases():
        yield Check("shops", "lease", "ok", "No run is at work.")
    for row in inside.shops():
        if why := row["needs_hard_sync"]:
            yield Check(
                "shops",
                "hard sync",
                "fault",
                f"push-deltas of {row['kept_as']} waits for a hard sync, for {why}: run hard-sync for it.",
            )


def _files(state: State, inside: Inside) -> Iterator[Check]:
    now = state.now()
    pending = [(shop, file) for shop in inside.holders() for file in state.outbox.pending(shop)]
    for shop, file in pending:
        how, words = _open_file(state, file, now)
        at_work = state.holder(shop) == file.run_id
        what = f"{file.path.name} of run {file.run_id} of {shop} is open for {_age(now - file.committed_at)}"
        yield Check(
            "files", "open", "ok" if at_work else how, f"{what}{', and its run is at work' if at_work else words}."
        )
    if not pending:
        yield Check("files", "open", "ok", "Every file that was sent has its answer.")


def _open_file(state: State, file: Pending, now: datetime) -> tuple[Status, str]:
    """How this file is, and what the next run can do with it."""
    if now - file.committed_at >= timedelta(hours=REPLAY_HOURS):
        return "fault", (
            f", too long to be sent again: the next run judges its pairs by what Shopify shows, so run a job of "
            f"the shop now and see why none ran for {REPLAY_HOURS} hours"
        )
    if is_whole(file):
        return "warning", ": it is on the disk, and the next run sends it again under the same keys"
    if state.outbox.content(file) is not None:
        return "warning", (
            f": it is gone from {file.path.parent} or was changed, and the next run sends it again from the database"
        )
    if file.guarded:
        return (
            "warning",
            f": it is gone from {file.path.parent} or was changed, and the next run reads its pairs afresh",
        )
    return "fault", (
        f" and gone from {file.path.parent}, or was changed: put it back from a copy, else the next run judges "
        "its pairs by what Shopify shows"
    )


def _age(age: timedelta) -> str:
    hours, minutes = divmod(max(0, int(age.total_seconds()) // 60), 60)
    return f"{hours // 24} days" if hours >= 48 else f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _claims(inside: Inside) -> Iterator[Check]:
    for row in inside.claims():
        what = f"{row['shop']}: {row['events']} {row['status']}"
        if row["status"] == "unknown":
            yield Check(
                "claims",
                "events",
                "fault",
                f"{what}, of which nobody knows whether Shopify counted them: run "
                f"hard-sync for {row['shop']}, which settles them.",
            )
        elif row["status"] in CLOSED:
            yield Check("claims", "events", "ok", f"{what}.")
        else:
            yield Check("claims", "events", "ok", f"{what}, which a later run counts.")


def _folders(configured: Settings, state: State, kept: list[Kept]) -> Iterator[Check]:
    reports, limit = Path(configured.reports.path), before(configured.reports.keep_days, state.now())
    looked, gone, strange = 0, [], []
    for shop in kept:
        runs = state.runs.every(shop.name)
        wanted = [run for run in runs if limit is None or datetime.fromisoformat(run["finished_at"]) >= limit]
        looked += len(wanted)
        gone += [str(run["run_id"]) for run in wanted if not Path(run["folder"]).exists()]
        known = [str(run["run_id"]) for run in runs]
        strange += list(_unknown(state, shop, folders.of_runs(reports, shop.name), known))
    if gone:
        yield Check(
            "folders",
            "gone",
            "warning",
            f"The folders of {len(gone)} runs are gone ({some(gone[::-1])}): these runs "
            "can no longer be explained or undone; see who moves them.",
        )
    else:
        yield Check("folders", "gone", "ok", f"Each of {looked} runs has its folder.")
    yield from strange


def _unknown(state: State, shop: Kept, there: list[Path], known: list[str]) -> Iterator[Check]:
    """Folders that the state knows nothing of: newer than all that it knows, it was restored; else they are only told."""
    first, newest = min(known, default=""), max(known, default="")
    held = {*known, *(file.run_id for file in state.outbox.pending(shop.kept_as)), state.holder(shop.kept_as)}
    strange = [folder for folder in there if folder.name not in held]
    sent = [folder.name for folder in strange if folder.name > newest and record.has_sent(record.read(folder))]
    if sent:
        yield Check(
            "folders",
            "unknown",
            "fault",
            f"The state of {shop.name} does not know {len(sent)} runs that sent "
            f"something since ({some(sent[::-1])}), so it was restored or newly made: run hard-sync for it.",
        )
    others = [folder.name for folder in strange if first < folder.name < newest]
    if others:
        yield Check(
            "folders",
            "unknown",
            "warning",
            f"The state of {shop.name} does not know {len(others)} run folders "
            f"({some(others[::-1])}): runs that were killed, or folders of another database.",
        )


def _retention(configured: Settings, state: State, kept: list[Kept]) -> Iterator[Check]:
    for shop in kept:
        going = {kind: count for kind, count in would_go(configured, state, shop).items() if count}
        what = ", ".join(f"{count} {kind}" for kind, count in going.items()) or "nothing"
        yield Check("retention", "prune", "ok", f"invsync state prune would remove {what} of {shop.name}.")
