"""Execute a job's notebook by papermill, and make sure that every run leaves a truth behind."""

import importlib.util
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from invsync import errors, report, settings
from invsync.jobs import summary
from invsync.jobs.run import RUN_ENV, Parameters, new_run_id, parameters
from invsync.state import State, iso

DEFAULTS: dict[str, Any] = {"config": "invsync.toml", "dry_run": False, "transport": "auto", "at": ""}


def jobs() -> dict[str, Path]:
    """The notebooks that are jobs, by the name that the command takes."""
    folder = notebooks()
    return {
        path.stem.replace("_", "-"): path for path in folder.glob("*.ipynb") if path.stem in {"upload_recent_changes"}
    }


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
    unknown = sorted(set(given) - {"shop", *DEFAULTS})
    if unknown:
        known = ", ".join(["shop", *DEFAULTS])
        raise errors.UsageError(f"Parameter {unknown[0]!r} is unknown to {job}: choose from {known}.")
    return parameters(job, **(DEFAULTS | given))


def run(job: str, given: dict[str, Any], *, engine: str = "kernel") -> dict[str, Any]:
    """Run a job; its run.json as a dictionary. Usage errors and a held lease leave no folder."""
    checked = check(job, given)
    configured = settings.load(Path(checked.config))
    chosen = configured.shop(checked.shop)
    secrets = [settings.secret(name, os.environ) or "" for name in (chosen.token_env, chosen.client_secret_env) if name]
    run_id, state = new_run_id(), State(configured.state.url)
    folder = Path(configured.reports.path) / checked.shop / job / run_id
    with state.lease(checked.shop, run_id):
        started = iso(datetime.now(UTC))
        folder.mkdir(parents=True)
        failure = _execute(jobs()[job], folder, run_id, DEFAULTS | given, engine)
        if isinstance(failure, errors.UsageError | errors.LeaseHeld):
            shutil.rmtree(folder)
            raise failure
        return _close(
            folder, summary.read(folder) or summary.blank(run_id, checked.shop, job, started), failure, secrets
        )


def _execute(notebook: Path, folder: Path, run_id: str, given: dict[str, Any], engine: str) -> Exception | None:
    import papermill
    from traitlets.config import Config

    options: dict[str, Any] = {"engine_name": "invsync-inprocess"} if engine == "inprocess" else {
        "kernel_name": "python3", "config": Config({"KernelManager": {"transport_encryption": "auto"}})}  # fmt: skip
    if engine == "inprocess":
        from invsync.jobs import inprocess

        inprocess.register()
    with _environment(run_id):
        try:
            papermill.execute_notebook(
                notebook, folder / "report.ipynb", parameters=given, progress_bar=False, **options
            )
        except papermill.PapermillExecutionError as error:
            return _named(error.ename, error.evalue)
        except Exception as error:  # a kernel that died, or a time-out: any of nbclient's own
            return errors.SystemFailed(f"The notebook did not end ({type(error).__name__}): run the job again.")
    return None


def _named(name: str, words: str) -> Exception:
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, errors.InvsyncError):
        return kind(words)
    return errors.SystemFailed(f"The run failed in its notebook with {name}: {words}")


@contextmanager
def _environment(run_id: str) -> Iterator[None]:
    os.environ[RUN_ENV] = run_id
    try:
        yield
    finally:
        del os.environ[RUN_ENV]


def _close(folder: Path, facts: dict[str, Any], failure: Exception | None, secrets: list[str]) -> dict[str, Any]:
    if failure is not None:
        status = "stopped" if isinstance(failure, errors.GuardStopped) else "failed"
        facts |= {"status": status, "exit_code": summary.EXIT[status], "finished_at": iso(datetime.now(UTC))}
        facts["messages"] = [*(told for told in facts["messages"] if told != str(failure)), str(failure)]
    notebook = folder / "report.ipynb"
    _scrub(notebook, secrets)
    facts["files"] = [file for file in summary.files(folder) if file["name"] != "report.html"]
    try:
        page = report.render(notebook, facts)
    except Exception as error:  # the page is for people; run.json must be written whatever happened to it
        page = report.minimal(facts, f"The report could not be drawn: {type(error).__name__}.")
    (folder / "report.html").write_text(_clean(page, secrets), encoding="utf-8")
    facts["files"] = summary.files(folder)
    summary.write(folder, facts)
    return facts


def _scrub(path: Path, secrets: list[str]) -> None:
    if path.exists():
        text = path.read_text(encoding="utf-8")
        if report.leaks(text, secrets):
            path.write_text(_clean(text, secrets), encoding="utf-8")


def _clean(text: str, secrets: list[str]) -> str:
    for value in filter(None, secrets):
        text = re.sub(re.escape(value), "[secret removed]", text)
    return text
