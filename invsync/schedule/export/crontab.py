"""For cron: one line a job; what runs all the time starts with the machine."""

import shlex

from invsync.errors import UsageError
from invsync.schedule.export.plan import CHORES, Plan, run

LONGEST = 998
HEAD = """\
# invsync: the schedule of {config}. Times are UTC: where this cron does not know CRON_TZ, keep the machine in UTC.
# The secrets {variables} must be in the environment, or in the files that <NAME>_FILE names.
CRON_TZ=UTC
SHELL=/bin/sh
"""


def write(plan: Plan) -> dict[str, str]:
    """One crontab."""
    go = f"cd {shlex.quote(str(plan.folder))} && "
    rows = [(entry.cron, run(entry)) for entry in plan.table] + [(cron, what) for *_, cron, what in CHORES]
    rows += [("@reboot", service.arguments) for service in plan.services]
    lines = [f"{when} {_escaped(go + plan.line(*arguments))}" for when, arguments in rows]
    if (longest := max(len(line.encode()) for line in lines)) > LONGEST:
        raise UsageError(
            f"A line for cron has {longest} bytes, and cron takes {LONGEST}: shorten the path of --config."
        )
    return {"crontab": HEAD.format(config=plan.config, variables=", ".join(plan.variables)) + "\n".join(lines) + "\n"}


def _escaped(command: str) -> str:
    """A percent sign ends a command of cron unless it is escaped."""
    return command.replace("%", r"\%")
