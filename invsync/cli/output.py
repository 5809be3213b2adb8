"""What commands print, and how they exit: checks, a run's result, JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:  # it imports polars
    from invsync.doctor import Check

MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "fault": ("✗", "red")}


def print_json(value: object) -> None:
    """Print a value as one line of JSON."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def print_message(message: str) -> None:
    """Print a message on standard error, as a line of JSON where the logs are."""
    from invsync import logs

    logs.warn(message)


def print_checks(checks: Sequence["Check"]) -> None:
    """Print checks under the name of their group, one per line."""
    group = None
    for check in checks:
        if check.group != group:
            typer.echo(check.group)
        group, (mark, colour) = check.group, MARKS[check.status]
        typer.echo(f"  {typer.style(mark, fg=colour)} {check.name:<14} {check.message}")


def has_fault(checks: Sequence["Check"]) -> bool:
    """Whether any check is a fault."""
    return any(check.status == "fault" for check in checks)


def exit_with_checks(checks: Sequence["Check"], *, as_json: bool, **labels: str) -> NoReturn:
    """Print the checks and exit with 0, or 4 if one is a fault; `labels` go into the JSON before the checks."""
    if as_json:
        print_json({**labels, "checks": [asdict(check) for check in checks]})
    else:
        print_checks(checks)
    exit_with(fault=has_fault(checks))


def exit_with(*, fault: bool) -> NoReturn:
    """Exit with the code of a fault, or with 0."""
    from invsync.vocabulary import NEEDS_A_LOOK

    raise typer.Exit(NEEDS_A_LOOK if fault else 0)


def exit_with_run(record: dict[str, Any], reports: Path, *, as_json: bool) -> NoReturn:
    """Print a run's messages on stderr and its counts and report on stdout; exit with the run's code."""
    from invsync.vocabulary import HELD, PLANNED

    for message in record["messages"]:
        print_message(message)
    counts, planned = record["counts"], record["status"] == PLANNED
    if planned:  # a planned pair is held only because nothing is sent
        counts = counts | {HELD: counts[HELD] - counts[PLANNED]}
    listed = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items() if count)
    typer.echo(f"{record['job']} {record['run_id']}: {record['status']}; {listed}")
    typer.echo(f"Report: {reports / record['shop'] / record['job'] / record['run_id'] / 'report.html'}")
    if planned and counts[PLANNED]:
        typer.echo(f"Nothing was sent; to send this plan as it is: invsync apply {record['run_id']}")
    if as_json:
        print_json(record)
    raise typer.Exit(record["exit_code"])
