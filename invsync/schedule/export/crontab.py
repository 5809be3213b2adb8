"""The schedule as a crontab: one line a job; what runs all the time starts with the machine."""

import shlex

from invsync.errors import UsageError
from invsync.schedule.export.plan import Plan

MAX_LINE = 998  # bytes
HEAD = """\
# invsync: the schedule of {config}. Times are UTC: where this cron does not know CRON_TZ, keep the machine in UTC.
# The secrets {variables} must be in the environment, or in the files that <NAME>_FILE names.
CRON_TZ=UTC
SHELL=/bin/sh
"""


def files(plan: Plan) -> dict[str, str]:
    """Return one crontab; raise UsageError where a line is longer than cron reads."""
    cd = f"cd {shlex.quote(str(plan.folder))} && "
    commands = [(task.cron, task.arguments) for task in plan.tasks]
    commands += [("@reboot", service.arguments) for service in plan.services]
    lines = [f"{when} {_escaped(cd + plan.line(*arguments))}" for when, arguments in commands]
    if (longest := max(len(line.encode()) for line in lines)) > MAX_LINE:
        raise UsageError(
            f"A line for cron has {longest} bytes, and cron takes {MAX_LINE}: shorten the path of --config."
        )
    return {"crontab": HEAD.format(config=plan.config, variables=", ".join(plan.variables)) + "\n".join(lines) + "\n"}


def _escaped(command: str) -> str:
    """The command with its percent signs escaped; cron ends a command at a bare one."""
    return command.replace("%", r"\%")
