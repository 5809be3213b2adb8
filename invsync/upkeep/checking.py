"""Check the state database and the run folders; each finding is one sentence that says what to do."""

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
from invsync.state.inspection import Inspection
from invsync.state.retention import Shop
from invsync.upkeep import folders
from invsync.upkeep.pruning import prunable
from invsync.upkeep.shops import cutoff, shops
from invsync.vocabulary import CLOSED, UNKNOWN

UNITS = ("bytes", "KB", "MB", "GB", "TB")


def check(config: Path) -> list[Check]:
    """Return every finding about the state of all shops and their run folders; nothing is changed."""
    configured = settings.load(config)
    with closing(State(configured.state.url)) as state:
        inspection = Inspection(state.engine)
        if faults := inspection.faults():
            return [*_file(state, inspection), _damage(faults)]
        kept = shops(configured, state)
        return [
            *_database(state, inspection),
            *_shops(state, inspection),
            *_files(state, inspection),
            *_claims(inspection),
            *_folders(configured, state, kept),
            *_retention(configured, state, kept),
        ]


def _file(state: State, inspection: Inspection) -> Iterator[Check]:
    size = inspection.size()
    what = f"{state.engine.dialect.name} {database.name(state.engine)}, revision {database.version(state.engine)}"
    yield Check("database", "file", "ok", f"{what}{f', {_size(size)}' if size is not None else ''}.")


def _damage(faults: list[str]) -> Check:
    """The only finding about a damaged database: what else it holds cannot be trusted."""
    return Check(
        "database",
        "integrity",
        "fault",
        f"It is damaged ({faults[0]}): restore it from a backup, then run hard-sync for each shop.",
    )


def _database(state: State, inspection: Inspection) -> Iterator[Check]:
    yield from _file(state, inspection)
    rows = ", ".join(f"{name} {count}" for name, count in inspection.rows().items())
    yield Check("database", "rows", "ok", f"{rows}.")
    yield Check("database", "integrity", "ok", "The database is whole.")


def _size(count: int) -> str:
    size, units = float(count), iter(UNITS)
    unit = next(units)
    while size >= 1000 and unit != UNITS[-1]:
        size, unit = size / 1000, next(units)
    return f"{size:.0f} {unit}" if unit == UNITS[0] else f"{size:.1f} {unit}"


def _shops(state: State, inspection: Inspection) -> Iterator[Check]:
    leases = inspection.leases()
    for lease in leases:
        at_work = state.holder(lease["shop"]) is not None
        who = f"Run {lease['run_id']} (process {lease['pid']} on {lease['host']})"
        if at_work:
            yield Check("shops", "lease", "ok", f"{who} is at work on {lease['shop']}.")
        else:
            rest = "and is gone or silent: the next run takes over."
            yield Check("shops", "lease", "warning", f"{who} was at work on {lease['shop']} {rest}")
    if not leases:
        yield Check("shops", "lease", "ok", "No run is at work.")
    for shop in inspection.shops():
        if why := shop["needs_hard_sync"]:
            remedy = f"push-deltas of {shop['kept_as']} waits for a hard sync, for {why}: run hard-sync for it."
            yield Check("shops", "hard sync", "fault", remedy)


def _files(state: State, inspection: Inspection) -> Iterator[Check]:
    now = state.now()
    pending = [(shop, file) for shop in inspection.outboxes() for file in state.outbox.pending(shop)]
    for shop, file in pending:
        what = f"{file.path.name} of run {file.run_id} of {shop} is open for {_age(now - file.committed_at)}"
        if state.holder(shop) == file.run_id:
            yield Check("files", "open", "ok", f"{what}, and its run is at work.")
        else:
            status, rest = _open_file(state, file, now)
            yield Check("files", "open", status, f"{what}{rest}.")
    if not pending:
        yield Check("files", "open", "ok", "Every file that was sent has its answer.")


def _open_file(state: State, file: Pending, now: datetime) -> tuple[Status, str]:
    """The status of a file that is not settled, and what the next run can do with it."""
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


def _claims(inspection: Inspection) -> Iterator[Check]:
    for count in inspection.claims():
        what = f"{count['shop']}: {count['events']} {count['status']}"
        if count["status"] == UNKNOWN:
            yield Check(
                "claims",
                "events",
                "fault",
                f"{what}, of which nobody knows whether Shopify counted them: run "
                f"hard-sync for {count['shop']}, which settles them.",
            )
        elif count["status"] in CLOSED:
            yield Check("claims", "events", "ok", f"{what}.")
        else:
            yield Check("claims", "events", "ok", f"{what}, which a later run counts.")


def _folders(configured: Settings, state: State, kept: list[Shop]) -> Iterator[Check]:
    reports, limit = Path(configured.reports.path), cutoff(configured.reports.keep_days, state.now())
    count, gone, unknown = 0, [], []
    for shop in kept:
        runs = state.runs.every(shop.name)
        wanted = [run for run in runs if limit is None or datetime.fromisoformat(run["finished_at"]) >= limit]
        count += len(wanted)
        gone += [run["run_id"] for run in wanted if not Path(run["folder"]).exists()]
        known = [run["run_id"] for run in runs]
        unknown += list(_unknown(state, shop, folders.of_runs(reports, shop.name), known))
    if gone:
        yield Check(
            "folders",
            "gone",
            "warning",
            f"The folders of {len(gone)} runs are gone ({some(gone[::-1])}): these runs "
            "can no longer be explained or undone; see who moves them.",
        )
    else:
        yield Check("folders", "gone", "ok", f"Each of {count} runs has its folder.")
    yield from unknown


def _unknown(state: State, shop: Shop, listed: list[Path], known: list[str]) -> Iterator[Check]:
    """Findings about folders of runs that the state does not know.

    A newer one that sent something is a fault, because it shows that the state was restored; any other is a warning.
    """
    first, newest = min(known, default=""), max(known, default="")
    held = {*known, *(file.run_id for file in state.outbox.pending(shop.kept_as)), state.holder(shop.kept_as)}
    unknown = [folder for folder in listed if folder.name not in held]
    sent = [folder.name for folder in unknown if folder.name > newest and record.has_sent(record.read(folder))]
    if sent:
        yield Check(
            "folders",
            "unknown",
            "fault",
            f"The state of {shop.name} does not know {len(sent)} runs that sent "
            f"something since ({some(sent[::-1])}), so it was restored or newly made: run hard-sync for it.",
        )
    others = [folder.name for folder in unknown if first < folder.name < newest]
    if others:
        yield Check(
            "folders",
            "unknown",
            "warning",
            f"The state of {shop.name} does not know {len(others)} run folders "
            f"({some(others[::-1])}): runs that were killed, or folders of another database.",
        )


def _retention(configured: Settings, state: State, kept: list[Shop]) -> Iterator[Check]:
    for shop in kept:
        counts = {kind: count for kind, count in prunable(configured, state, shop).items() if count}
        what = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "nothing"
        yield Check("retention", "prune", "ok", f"invsync state prune would remove {what} of {shop.name}.")
