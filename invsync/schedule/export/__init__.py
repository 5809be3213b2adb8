"""Exporters: the schedule as files of another engine.

To add an exporter, write a module here with a function from a `Plan` to the texts of files by name, and register it
in `EXPORTERS`. The choices of `schedule export --to` come from there, so these modules stay light to import.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from invsync.schedule.export import airflow, crontab, kubernetes, systemd
from invsync.schedule.export.plan import Plan

EXPORTERS: Mapping[str, Callable[[Plan], dict[str, str]]] = {
    "crontab": crontab.files,
    "systemd": systemd.files,
    "airflow": airflow.files,
    "kubernetes": kubernetes.files,
}
if TYPE_CHECKING:
    Exporter = str
else:
    Exporter = Literal[tuple(EXPORTERS)]  # what the command line accepts; mypy reads no Literal made of values
