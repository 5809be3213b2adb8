"""The files that run the jobs of a configuration on another engine."""

import shutil
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from invsync.config import secrets, settings
from invsync.config.settings import Settings
from invsync.jobs.launch import notebooks
from invsync.schedule.export import Exporter
from invsync.schedule.export.plan import MAINTENANCE, Plan, Service, Task
from invsync.schedule.table import Entry, entries, has_webhooks

FIRST_PORT = 8765


def export(to: Exporter, config: Path, shops: Sequence[str], *, image: str) -> dict[str, str]:
    """Return the texts of the files for one engine, by file name, for these shops or for all.

    Raises UsageError where a cron text of the configuration is wrong or a line is too long for the engine.
    """
    configured = settings.load(config)
    jobs = entries(configured, shops)
    names = list(dict.fromkeys(entry.shop for entry in jobs))
    plan = Plan(
        jobs=[_task(entry) for entry in jobs],
        maintenance=MAINTENANCE,
        services=_services(configured, names),
        program=shutil.which("invsync") or str(Path(sys.executable).with_name("invsync")),
        config=config.resolve(),
        folder=Path.cwd(),
        notebooks=notebooks().resolve(),
        image=image,
        variables=_variables(configured, names),
    )
    files: dict[str, str] = import_module(f"invsync.schedule.export.{to}").files(plan)
    return files


def _task(entry: Entry) -> Task:
    arguments = ("run", entry.job, "--shop", entry.shop)
    return Task(entry.job, entry.cron, arguments, f"{entry.job} of {entry.shop}", entry.shop)


def _services(configured: Settings, shops: Sequence[str]) -> list[Service]:
    """The webhook receiver and the real-time sync of each shop that has webhooks."""
    services = []
    for number, shop in enumerate(name for name in shops if has_webhooks(configured, name)):
        port = FIRST_PORT + number
        receiver = ("webhooks", "serve", "--shop", shop, "--port", str(port))
        services.append(Service("webhooks", shop, receiver, port))
        services.append(Service("realtime", shop, ("schedule", "run", "--only-realtime", "--shop", shop)))
    return services


def _variables(configured: Settings, shops: Sequence[str]) -> list[str]:
    """The names of the variables whose secrets these shops need."""
    parts = [configured.alerts, *map(configured.shop, shops)]
    return sorted({variable for part in parts for variable in secrets.variables(part)})
