"""Exporters: the schedule as files of another engine.

To add an exporter, write a module here with a function `files` that takes a `plan.Plan` and returns texts by file name,
and add the module's name to `Exporter`. The choices of `schedule export --to` come from there; a module is imported
when it is chosen, so that the command line stays light to start.
"""

from typing import Literal

Exporter = Literal["crontab", "systemd", "airflow", "kubernetes"]
