"""Execute a job's notebook by papermill, and make sure that every run leaves a truth behind."""

import importlib.util
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from invsync.startup import quick_imports

with quick_imports():
    import papermill

    from invsync import alerts, errors, logs, report, scrub, telemetry
    from invsync.config import settings
    from invsync.engine import inprocess, kernel
    from invsync.jobs.job import JOBS
    from invsync.jobs.methods import review
    from invsync.jobs.parameters import Parameters, parameters
    from invsync.jobs.start import RUN_ENV, check_keeper, new_run_id
    from invsync.ledger.peers import of_same_stock
    from invsync.runs import archive, record
    from invsync.runs.record import Record
    from invsync.state import State, iso
    from invsync.vocabulary import CONCLUDED, FAILED, SHADOW, STATUSES, STOPPED

LOG = logging.getLogger("invsync.run")
APPLY, UNDO = "apply_plan.ipynb", "undo_run.ipynb"


def jobs() -> dict[str, Path]:
    """The notebooks that are jobs, by the name that the command takes."""
    return {job.name: path for job in JOBS.values() if (path := notebooks() / job.notebook).exists()}


def notebooks() -> Path:
    """Where the notebooks are: in the wheel, or beside the package in a checkout."""
    spec = importlib.util.find_spec("invsync")
    assert spec is not None and spec.origin is not None
    package = Path(spec.origin).parent
    return package / "_notebooks" if (package / "_notebooks").exists() else package.parent / "notebooks"


def check(job: str, given: dict[str, Any]) -> Parameters:
    """The parameters of a job, typed; an unknown job or name is refused before anything is called."""
    if job not in jobs():
        raise errors.UsageError(f"Job {job!r} is unknown: choose one of {', '.join(sorted(jobs()))}.")
    return parameters(job, JOBS[job].parameters, given)


def apply(run_id: str, config: str, *, engine: str = "kernel") -> dict[str, Any]:
    """Send the plan of a dry run exactly as it was reviewed; its run.json as a dictionary."""
    earlier = _earlier(config, run_id, planned=True)
    given = {"shop": earlier.shop, "config": config, "run": run_id}
    checked = parameters(earlier.job, {}, {"shop": earlier.shop, "config": config})
    return _launch(checked, notebooks() / APPLY, given, engine).json()


def undo(run_id: str, config: str, *, engine: str = "kernel") -> dict[str, Any]:
    """Plan the inverse of a run as a dry run, to be reviewed and applied; its run.json as a dictionary."""
    earlier = _earlier(config, run_id, planned=False)
    given = {"shop": earlier.shop, "config": config, "run": run_id}
    checked = parameters(earlier.job, {}, {"shop": earlier.shop, "config": config, "dry_run": True})
    return _launch(checked, notebooks() / UNDO, given, engine).json()


def _earlier(config: str, run_id: str, *, planned: bool) -> review.Earlier:
    with closing(State(settings.load(Path(config)).state.url)) as state:
        return review.earlier(state, run_id, planned=planned)


def run(
    job: str, given: dict[str, Any], *, engine: str = "kernel", on_cell_start: inprocess.CellHook | None = None
) -> dict[str, Any]:
    """Run a job; its run.json as a dictionary. Usage errors and a held lease leave no folder."""
    given = {"dry_run": job == SHADOW} | given
    checked = check(job, given)
    check_keeper(checked, settings.load(Path(checked.config)).shop(checked.shop))
    return _launch(checked, jobs()[job], given, engine, on_cell_start).json()


def _launch(
    checked: Parameters,
    notebook: Path,
    given: dict[str, Any],
    engine: str,
    on_cell_start: inprocess.CellHook | None = None,
) -> Record:
    """Execute the notebook in a folder of its own while this process holds the shop; the run's record."""
    configured = settings.load(Path(checked.config))
    shop = configured.shop(checked.shop)
    settings.by_variable(shop.api_variables, os.environ)  # refused here, before there is a folder
    read_secrets(configured, checked.shop)
    archive.check(configured.reports.copy_to)
    write_logs(configured)
    run_id = new_run_id()
    folder = Path(configured.reports.path) / checked.shop / checked.job / run_id
    with ExitStack() as held:
        held.enter_context(logs.bound(run_id=run_id, shop=checked.shop, job=checked.job))
        state = held.enter_context(closing(State(configured.state.url)))
        lease = held.enter_context(state.lease(state.shops.kept_as(checked.shop, shop.identity), run_id))
        if gone := lease.took_over:
            _bury(Path(configured.reports.path), gone, run_id, shop)
        blank = Record(run_id, checked.shop, checked.job, started_at=iso(datetime.now(UTC)))
        folder.mkdir(parents=True)
        LOG.info("run started")
        failure = _execute(notebook, folder, given, engine, {RUN_ENV: run_id}, on_cell_start)
        with suppress(errors.InvsyncError):
            lease.sign()
        if isinstance(failure, errors.UsageError | errors.LeaseHeld) and not record.has_begun(folder):
            shutil.rmtree(folder)
            raise failure
        closed = close(folder, record.read(folder) or blank, failure, shop)
        with suppress(errors.InvsyncError):  # the state failed the run already, as its page says
            remember(state, folder, closed)
        ended(folder, closed, configured)
        return closed


def read_secrets(configured: settings.Settings, name: str) -> None:
    """Read the secrets that a run of this shop uses, so that they can be removed from what another process leaves."""
    shops = [configured.shop(name), *of_same_stock(configured, name).values()]
    alerts_to, telemetry_to = configured.alerts_of(name), configured.telemetry
    used = [variable for shop in shops for variable in (*shop.api_variables, *settings.variables(shop.oms))]
    used += settings.variables(alerts_to) + (settings.variables(telemetry_to) if telemetry_to.otlp_endpoint else [])
    settings.read(used, os.environ)


def write_logs(configured: settings.Settings) -> None:
    """Have this process write its logs as JSON, without secrets, only where the configuration says so."""
    if configured.telemetry.logs == "json":
        logs.configure(scrub.scrubbed)
    else:
        logs.reset()


def ended(folder: Path, run: Record, configured: settings.Settings) -> None:
    """Report a run that has ended: its telemetry and its alerts, and the copy of its folder in the object storage."""
    telemetry.after(folder, run, configured)
    alerts.after(run, configured)
    archive.copy(folder, configured.reports.copy_to)


def _execute(
    notebook: Path,
    folder: Path,
    given: dict[str, Any],
    engine: str,
    environment: dict[str, str],
    on_cell_start: inprocess.CellHook | None,
) -> Exception | None:
    options = {"engine_name": inprocess.NAME} if engine == "inprocess" else kernel.options()
    inprocess.register()
    with _environment(environment):
        try:
            papermill.execute_notebook(
                notebook,
                folder / "report.ipynb",
                parameters=given,
                progress_bar=False,
                on_cell_start=on_cell_start,
                **options,
            )
        except papermill.PapermillExecutionError as error:
            return named(error.ename, error.evalue)
        except Exception as error:  # a kernel that died, or a time-out: any of nbclient's own
            return errors.SystemFailed(f"The notebook did not end ({type(error).__name__}): run the job again.")
    return None


def named(name: str, words: str) -> Exception:
    """The error that a notebook raised, as one of ours."""
    kinds = {kind.__name__: kind for kind in _kinds(errors.InvsyncError)}
    if name in kinds:
        return kinds[name](words)
    if name == "KeyboardInterrupt":
        return errors.SystemFailed("The run was interrupted: run the job again.")
    return errors.SystemFailed(f"The run failed in its notebook with {name}: {words}")


def _kinds(kind: type[errors.InvsyncError]) -> Iterator[type[errors.InvsyncError]]:
    """This kind of error and every narrower one."""
    yield kind
    for narrower in kind.__subclasses__():
        yield from _kinds(narrower)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]


def _bury(reports: Path, gone: str, by: str, shop: settings.ShopSettings) -> None:
    """Close the folder of a run that was killed, so that it too has its record and its page."""
    for folder in reports.glob(f"*/*/{gone}"):
        if record.read(folder) is None:
            why = errors.SystemFailed(f"The run was killed before its end; run {by} takes over what it left open.")
            close(folder, unended(folder), why, shop)


def unended(folder: Path) -> Record:
    """The record of a run that left none, by the folder that it left."""
    return Record(folder.name, folder.parents[1].name, folder.parent.name, started_at=started_at(folder.name))


def started_at(run_id: str) -> str:
    """When a run began, by its id."""
    return iso(datetime.strptime(run_id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC))


def close(folder: Path, run: Record, failure: Exception | None, shop: settings.ShopSettings) -> Record:
    """Give the run's folder its page and its record, without secrets; the record.

    What fails after the run wrote down how it ended (a chart, a page, a full disk) is told, and changes nothing of it.
    """
    if failure is not None and run.status in CONCLUDED and run.finished_at:
        stopped = isinstance(failure, errors.GuardStopped)
        run = _with(run, str(failure) if stopped else f"The report is incomplete: {failure}")
    elif failure is not None:
        status = STOPPED if isinstance(failure, errors.GuardStopped) else FAILED
        run = replace(run, status=status, exit_code=STATUSES[status].exit_code, finished_at=iso(datetime.now(UTC)))
        run = _with(run, str(failure))
    run = replace(run, messages=tuple(scrub.scrubbed(message) for message in run.messages))
    try:
        run = _drawn(folder, run, shop)
    except OSError as error:
        run = _with(run, f"The report could not be written to {folder} ({error.strerror}): make room on its disk.")
    with suppress(OSError):  # run.json of the run itself stands
        record.write(folder, run)
    return run


def _with(run: Record, message: str) -> Record:
    return replace(run, messages=run.with_message(message))


def _drawn(folder: Path, run: Record, shop: settings.ShopSettings) -> Record:
    """The record with the run's files, after its page was written, or a short one where that cannot be drawn."""
    notebook = folder / "report.ipynb"
    _scrub(notebook)
    run = replace(run, files=tuple(file for file in record.files(folder) if file.name != "report.html"))
    try:
        page = report.render(notebook, run, timezone=shop.timezone, locale=shop.locale, links=report.Links.of(shop))
    except Exception as error:  # the page is for people
        why = f"The report could not be drawn: {type(error).__name__}."
        page = report.minimal(run, why, timezone=shop.timezone, locale=shop.locale)
    (folder / "report.html").write_text(scrub.scrubbed(page), encoding="utf-8")
    return replace(run, files=record.files(folder))


def remember(state: State, folder: Path, run: Record) -> None:
    """Record a run in the state that ended before it could do so itself."""
    if state.runs.one(run.run_id) is None:
        now = datetime.now(UTC)
        state.runs.record(
            run.run_id,
            run.shop,
            run.job,
            status=run.status,
            exit_code=run.exit_code,
            folder=str(folder.resolve()),
            thru=now,
            finished_at=now,
            advances=False,
            sent=bool(state.outbox.parts(run.run_id)),
        )


def _scrub(path: Path) -> None:
    if path.exists():
        text = path.read_text(encoding="utf-8")
        if (clean := scrub.scrubbed(text)) != text:
            path.write_text(clean, encoding="utf-8")
