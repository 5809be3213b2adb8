"""The schedule as Airflow DAGs: one DAG for each job and cron, whose papermill operator runs one mapped task a shop."""

from invsync.schedule.export.plan import Plan

HEAD = '''\
"""invsync: the schedule of {title}, one DAG a job and cron, one mapped task a shop.

Needs apache-airflow-providers-papermill here, and a kernel of invsync's own environment known as {kernel}:
<its python> -m ipykernel install --prefix <Airflow's environment> --name {kernel}
A task may be tried again at any time: a run holds its shop's lease, and resumes what an earlier one left open.
"""

import hashlib
import re
import shlex
from datetime import datetime, timedelta, timezone
from pathlib import Path

from airflow.providers.papermill.operators.papermill import PapermillOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
from airflow.timetables.trigger import CronTriggerTimetable

INVSYNC = {program!r}
CONFIG = {config!r}
FOLDER = Path({folder!r})
NOTEBOOKS = Path({notebooks!r})
EXECUTED = FOLDER / "airflow"
KERNEL = {kernel!r}
AT_ONCE = {at_once}
TABLE = {{
{table}}}

'''
BODY = '''\
EXECUTED.mkdir(parents=True, exist_ok=True)


def named(job: str, cron: str) -> str:
    """The name of a DAG; a hash keeps crons apart that differ in a sign alone, and long ones within 250 characters."""
    name = f"invsync-{job}-" + "".join(c if c.isalnum() else "_" for c in cron.replace("*", "x"))
    if re.fullmatch(r"([*]|[*]/[0-9]+|[0-9]+)( ([*]|[0-9]+)){4}", cron):
        return name
    return f"{name[:200]}-{hashlib.sha256(cron.encode()).hexdigest()[:8]}"


def dag(job: str, cron: str, shops: list[str]) -> DAG:
    executed = str(EXECUTED / (f"{job}-" + "{{ ts_nodash }}-{{ ti.map_index }}.ipynb"))
    with DAG(
        named(job, cron),
        schedule=CronTriggerTimetable(cron, timezone="UTC"),
        start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
        catchup=False,
        max_active_runs=1,
        max_active_tasks=AT_ONCE,
        default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
        tags=["invsync"],
    ) as made:
        run = PapermillOperator.partial(
            task_id=job,
            input_nb=str(NOTEBOOKS / f"{job.replace('-', '_')}.ipynb"),
            output_nb=executed,
            kernel_name=KERNEL,
            language_name="python",
        ).expand(parameters=[{"shop": shop, "config": CONFIG, "dry_run": job == "shadow"} for shop in shops])
        report = BashOperator.partial(
            task_id="report", cwd=str(FOLDER), trigger_rule="all_done", retries=0,
        ).expand(bash_command=[
            shlex.join([INVSYNC, "schedule", "adopt", "--config", CONFIG, executed.replace("{{ ti.map_index }}", str(number))])
            for number in range(len(shops))
        ])
        run >> report
    return made


for (job, cron), shops in TABLE.items():
    made = dag(job, cron, shops)
    globals()[made.dag_id] = made
'''
KERNEL, MAX_ACTIVE_TASKS = "invsync", 16


def files(plan: Plan) -> dict[str, str]:
    """Return one Python file that defines every DAG."""
    shops: dict[tuple[str, str], list[str]] = {}
    for job in plan.jobs:
        shops.setdefault((job.name, job.cron), []).append(job.shop or "")
    rows = "".join(f"    {key!r}: {names!r},\n" for key, names in shops.items())
    head = HEAD.format(
        program=plan.program,
        config=str(plan.config),
        title=_in_docstring(str(plan.config)),
        folder=str(plan.folder),
        table=rows,
        notebooks=str(plan.notebooks),
        kernel=KERNEL,
        at_once=MAX_ACTIVE_TASKS,
    )
    return {"invsync_dags.py": head + BODY}


def _in_docstring(text: str) -> str:
    """The text as it can stand inside a docstring."""
    return text.replace("\\", "\\\\").replace('"', "'")
