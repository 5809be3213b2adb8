"""The schedule as systemd units: a service and a timer for each job, and a service for what runs all the time."""

import re

from invsync.schedule.export.plan import Plan, unit_name

MAX_NAME = 255 - len(".service")
DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
RELOAD = "ExecReload=/bin/kill -HUP $MAINPID\n"  # what runs the schedule reads the configuration again
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
ONCE = """\
[Unit]
Description=invsync: {what}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
WorkingDirectory={folder}
EnvironmentFile=-/etc/invsync/environment
ExecStart={command}
SuccessExitStatus=75
"""
ALWAYS = """\
[Unit]
Description=invsync: {what}
Wants=network-online.target
After=network-online.target

[Service]
WorkingDirectory={folder}
EnvironmentFile=-/etc/invsync/environment
ExecStart={command}
{reload}KillMode=mixed
TimeoutStopSec=15min
SuccessExitStatus=143
Restart=always
RestartSec=5

[Install]
WantedBy=multi-user.target
"""
TIMER = """\
[Unit]
Description=invsync: {what}, by the clock

[Timer]
{times}
Persistent=true
AccuracySec=1s

[Install]
WantedBy=timers.target
"""


def files(plan: Plan) -> dict[str, str]:
    """Return the units by file name."""
    units, folder = {}, str(plan.folder).replace("%", "%%")
    for task in plan.tasks:
        name = unit_name(task, limit=MAX_NAME)
        times = "\n".join(f"OnCalendar={time}" for time in calendar(task.cron))
        units[f"{name}.service"] = ONCE.format(what=task.about, folder=folder, command=_command(plan, task.arguments))
        units[f"{name}.timer"] = TIMER.format(what=task.about, times=times)
    for service in plan.services:
        reload = RELOAD if service.arguments[0] == "schedule" else ""
        command = _command(plan, service.arguments)
        unit = ALWAYS.format(what=service.about, folder=folder, command=command, reload=reload)
        units[f"{unit_name(service, limit=MAX_NAME)}.service"] = unit
    return units


def _command(plan: Plan, arguments: tuple[str, ...]) -> str:
    """The command as ExecStart reads it: each word quoted, its percent and dollar signs doubled."""
    words = (word.replace("\\", "\\\\").replace('"', r"\"") for word in plan.command(*arguments))
    return " ".join(f'"{word}"' for word in words).replace("%", "%%").replace("$", "$$")


def calendar(cron: str) -> list[str]:
    """The OnCalendar texts of a cron text; two where cron means a day of the month or a weekday."""
    minute, hour, day, month, weekday = cron.split()
    numbers = {name: str(number) for number, name in enumerate(MONTHS, start=1)}
    date = f"*-{_numbers(month, 1, 12, numbers)}-"
    time = f"{_numbers(hour, 0, 23)}:{_numbers(minute, 0, 59)}:00 UTC"
    days, weekdays = f"{date}{_numbers(day, 1, 31)} {time}", f"{_weekdays(weekday)} {date}* {time}"
    if weekday.startswith("*") or day.startswith("*"):
        return [f"{_weekdays(weekday)} {days}" if weekday != "*" else days]
    return [days, weekdays]


def _numbers(field: str, first: int, last: int, names: dict[str, str] | None = None) -> str:
    """A cron field as systemd writes it: ranges with two dots, steps from a start, names as numbers."""
    return ",".join(_part(part, first, last, names or {}) for part in field.lower().split(","))


def _part(part: str, first: int, last: int, names: dict[str, str]) -> str:
    span, _, step = part.partition("/")
    for name, number in names.items():
        span = span.replace(name, number)
    if span == "*":
        return f"{first}..{last}/{step}" if step else "*"
    span = span.replace("-", "..")
    return f"{span}/{step}" if step else span


def _weekdays(field: str) -> str:
    """The weekdays of a cron field by their names."""
    days = set()
    for part in field.lower().split(","):
        span, _, step = part.partition("/")
        low, _, high = ("0-6" if span == "*" else span).partition("-")
        start, end = _weekday(low), _weekday(high or low)
        days |= {DAYS[number] for number in range(start, (end if end >= start else end + 7) + 1, int(step or 1))}
    return ",".join(day for day in DAYS[1:] if day in days)


def _weekday(text: str) -> int:
    names = [day.lower() for day in DAYS]
    return int(text) if re.fullmatch(r"[0-7]", text) else names.index(text)
