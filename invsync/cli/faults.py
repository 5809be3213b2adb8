"""The commands of the inbox: list open faults, put one off, take it up again."""

from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invsync.cli import output
from invsync.cli.options import CONFIG, AsJson, Config, Shops
from invsync.cli.reports import dues, site

if TYPE_CHECKING:  # it imports polars
    from invsync.site.listing import Fault, Listing

app = typer.Typer(name="faults", help="List the open faults of all runs; put one off for a while.")

FaultId = Annotated[str, typer.Argument(metavar="ID", help="The fault's id, as the list and the inbox show it.")]
UNTIL_HELP = "The last day on which it stays put off, for example 2026-12-01."
ALL_HELP = "List snoozed faults too."


@app.callback(invoke_without_command=True)
def faults(
    context: typer.Context,
    shop: Shops = None,
    config: Config = CONFIG,
    every: Annotated[bool, typer.Option("--all", help=ALL_HELP)] = False,
    as_json: AsJson = False,
) -> None:
    """List the open faults, the most at risk first.

    Updates the index and the inbox. Exit codes: 0 nothing needs a person; 2 wrong usage or configuration; 4 a fault
    is open.
    """
    if context.invoked_subcommand:
        return
    listed = _listing(config)
    wanted = [one for one in (*listed.open, *(listed.snoozed if every else ())) if not shop or one.shop in shop]
    if as_json:
        output.print_json({"faults": [_values(one) for one in wanted]})
    else:
        _print(wanted)
    output.exit_with(fault=any(one.snooze is None for one in wanted))


@app.command()
def snooze(
    fault_id: FaultId,
    until: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help=UNTIL_HELP)],
    reason: Annotated[str, typer.Option(help="Why it can wait, for whoever reads the inbox.")],
    config: Config = CONFIG,
) -> None:
    """Put a fault off until the end of a day.

    It comes back when the day is over, when more units are at stake, or when it was mended and is seen again.
    Exit codes: 0; 2 wrong usage or configuration.
    """
    from dataclasses import replace

    from invsync.errors import UsageError
    from invsync.site import snoozes

    if until.date() < datetime.now(UTC).date():
        raise UsageError(f"--until {until:%Y-%m-%d} is over: give today or a later day.")
    if not reason.strip():
        raise UsageError("--reason is empty: say why the fault can wait.")
    listed, root = _listing(config), site(config)[0]
    fault = _one(listed, fault_id)
    put_off = replace(fault.seen, until=f"{until:%Y-%m-%d}", reason=reason.strip())
    snoozes.save(root, snoozes.load(root) | {fault.id: put_off})
    _listing(config)
    typer.echo(f"Snoozed until {put_off.until}: {put_off.fault}")


@app.command()
def wake(fault_id: FaultId, config: Config = CONFIG) -> None:
    """Take up a snoozed fault again.

    Exit codes: 0; 2 wrong usage or configuration.
    """
    from invsync.errors import UsageError
    from invsync.site import snoozes

    root = site(config)[0]
    kept = snoozes.load(root)
    if fault_id not in kept:
        raise UsageError(f"Fault {fault_id!r} is not snoozed: see invsync faults --all.")
    put_off = kept.pop(fault_id)
    snoozes.save(root, kept)
    _listing(config)
    typer.echo(f"Awake again: {put_off.fault}")


def _listing(config: Path) -> "Listing":
    """The faults of the reports as they are now, after the index and the inbox were updated."""
    from invsync.site import index

    return index.build(*site(config), dues=dues(config)).listing


def _one(listed: "Listing", fault_id: str) -> "Fault":
    from invsync.errors import UsageError

    for fault in (*listed.open, *listed.snoozed):
        if fault.id == fault_id:
            return fault
    raise UsageError(f"No open fault has the id {fault_id!r}: see invsync faults --all.")


def _values(fault: "Fault") -> dict[str, Any]:
    """The fault as JSON holds it."""
    values = {name: _plain(value) for name, value in asdict(fault).items()}
    snoozed = fault.snooze and {"until": fault.snooze.until, "reason": fault.snooze.reason}
    return {**values, "snooze": snoozed}


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime | date) else value


def _print(listed: "list[Fault]") -> None:
    from invsync.inputs import texts

    if not listed:
        typer.echo("Nothing needs you.")
    for fault in listed:
        off = f" (snoozed until {fault.snooze.until}: {fault.snooze.reason})" if fault.snooze else ""
        sku = "" if fault.sku == fault.product else f" ({fault.sku})"
        typer.echo(texts.printable(f"{fault.id}  {fault.shop}: {fault.product}{sku} at {fault.location}{off}"))
        typer.echo(texts.printable(f"          {fault.what}. {_since(fault)}\n          {fault.advice}"))
        if fault.command:
            typer.echo(texts.printable(f"          {fault.command}"))


def _since(fault: "Fault") -> str:
    times = "1 run" if fault.runs == 1 else f"{fault.runs} runs"
    worth = f"; {fault.at_risk:,.2f} {fault.currency} at risk" if fault.at_risk else ""
    return f"Since {fault.since:%Y-%m-%d}, in {times}{worth}."
