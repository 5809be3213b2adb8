"""The commands as they are typed: exit codes, words on standard error, answers on standard output."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.core import TyperCommand
from typer.main import get_command
from typer.testing import CliRunner

from invsync.cli import app
from invsync.errors import InvsyncError, LeaseHeld, UsageError
from invsync.sandbox import demo
from invsync.sandbox.oms import Oms
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Shop
from invsync.vocabulary import JOBS

JOB, ONLINE = "upload-recent-changes", 7
START = datetime(2026, 3, 2, 12, tzinfo=UTC)
RUN = ["run", JOB, "--shop", "demo"]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ([*RUN, "-p", "dry_rum", "true"], "Parameter 'dry_rum' is unknown"),
        ([*RUN, "-p", "dry_run=true", "true"], "Parameter 'dry_run=true' is unknown"),
        ([*RUN, "-p", "dry_run", "maybe"], "Parameter dry_run must be bool"),
        ([*RUN, "-p", "transport", "true"], "Parameter transport must be str, not True"),
        ([*RUN, "-p", "transport", "pigeon"], "Transport 'pigeon' is none of auto, bulk, direct"),
        ([*RUN, "-p", "dry_run"], "Parameter dry_run has no value: write -p dry_run VALUE."),
        ([*RUN, "-p"], "Option '-p' requires an argument"),
        ([*RUN, "--dry-run", "-p", "dry_run", "false"], "Parameter dry_run is given as True and as False"),
        ([*RUN, "-p", "shop", "other"], "Parameter shop is given as 'demo' and as 'other': give it once."),
        (["run", JOB, "--shop", "../evil"], "must match"),
        (["run", JOB], "Missing option '--shop'"),
        (["run", "pull-everything", "--shop", "demo"], "Job 'pull-everything' is unknown"),
        ([*RUN, "--engine", "steam"], "'steam' is not one of 'kernel', 'inprocess'"),
        ([*RUN, "--at", "2026-01-01T00:00:00"], "with an offset or Z"),
        (RUN, "does not exist: name it with --config"),
        (["apply", "20260101T000000Z-ab12"], "does not exist: name it with --config"),
        (["undo", "20260101T000000Z-ab12"], "does not exist: name it with --config"),
        (["doctor", "--shop", "demo"], "does not exist: name it with --config"),
        (["state", "check"], "does not exist: name it with --config"),
        (["state", "prune"], "does not exist: name it with --config"),
    ],
)
def test_wrong_usage_exits_2_with_one_sentence_and_touches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(app, typed)

    assert result.exit_code == 2
    assert words in result.stderr
    assert list(tmp_path.iterdir()) == []


def commands() -> Iterator[tuple[list[str], TyperCommand]]:
    """Every command that can be typed, with its words."""
    waiting = [([name], command) for name, command in get_command(app).commands.items()]
    for words, command in waiting:
        if isinstance(command, TyperCommand):
            yield words, command
        else:
            waiting += [([*words, name], below) for name, below in command.commands.items()]


@pytest.mark.parametrize("error", [UsageError, LeaseHeld])
@pytest.mark.parametrize("words", [words for words, _ in commands()], ids=" ".join)
def test_every_command_turns_an_error_into_its_message_and_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], error: type[InvsyncError]
) -> None:
    def fail() -> None:
        raise error("What is wrong.")

    root = command = get_command(app)
    for word in words:
        command = command.commands[word]
    monkeypatch.setattr(command, "callback", fail)
    monkeypatch.setattr(command, "params", [])

    code = root.main(words, standalone_mode=False)

    assert code == error.exit_code
    assert capsys.readouterr() == ("", "What is wrong.\n")


def test_help_names_every_command_and_option() -> None:
    every = CliRunner().invoke(app, ["--help"]).stdout
    run = CliRunner().invoke(app, ["run", "--help"]).stdout

    assert all(f"\n  {name} " in every for name in ("run", "apply", "undo", "doctor", "demo", "sandbox", "state"))
    assert "..." not in every.partition("Commands:")[2]
    assert all(job in " ".join(run.split()).replace("- ", "-") for job in JOBS)
    assert all(option in run for option in ("-p KEY VALUE", "--transport <auto|bulk|direct>", "--at TIME", "--json"))


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def config(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The configuration of a shop where one product shows 100 and the OMS counts 95."""
    monkeypatch.setenv(demo.TOKEN_ENV, shop.token)
    oms = Oms(f"sqlite:///{tmp_path}/oms.db").create()
    shop.add_location(ONLINE, "Online")
    shop.add_item(1, "RED")
    shop.set_level(1, ONLINE, 100)
    with oms.batch():
        oms.add_facility("WH", "Warehouse")
        oms.map_location("_NA_", ONLINE)
        oms.add_product("P1", "RED")
        oms.map_product("P1", 1)
        oms.set_stock("P1", "WH", 95, START)
    with serve(shop) as endpoint:
        yield demo.configure(tmp_path, endpoint)
    oms.close()


def typed(config: Path, *words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [*words, "--config", str(config), "--engine", "inprocess"])
    return result.exit_code, result.stdout, result.stderr


def ran(config: Path, *words: str) -> tuple[int, str, str]:
    return typed(config, *RUN, "--at", "2026-03-02T13:00:00Z", *words)


def planned(config: Path, *words: str) -> str:
    """The run that these words plan."""
    _, out, _ = typed(config, *words)
    return out.splitlines()[-1].partition("to send this plan as it is: invsync apply ")[2]


def test_a_run_prints_its_counts_its_report_and_last_its_json(config: Path) -> None:
    code, out, _ = ran(config, "-p", "dry_run", "true", "-p", "transport", "direct", "--json")

    facts = json.loads(out.splitlines()[-1])
    page = config.parent / "reports" / "demo" / JOB / facts["run_id"] / "report.html"
    assert code == 0 and facts["status"] == "planned" and facts["counts"]["planned"] == 1
    assert f"Report: {page}" in out and page.exists()
    assert facts["counts"]["held"] == 1 and "held" not in out.splitlines()[0]  # a plan is not held back


def test_steps_are_printed_when_asked_for_and_never_to_a_log(config: Path) -> None:
    _, _, quiet = ran(config, "--dry-run")
    _, _, verbose = ran(config, "--dry-run", "--verbose")

    assert quiet == ""
    assert "… What changed\n… The difference\n" in verbose


def test_a_reviewed_plan_is_applied_and_undone(shop: Shop, config: Path) -> None:
    code, _, _ = typed(config, "apply", planned(config, *RUN, "--dry-run"))
    assert code == 0 and shop.available(1, ONLINE) == 95

    applied = max(path.name for path in (config.parent / "reports" / "demo" / JOB).iterdir())
    inverse = planned(config, "undo", applied)
    assert shop.available(1, ONLINE) == 95

    code, out, _ = typed(config, "apply", inverse, "--json")
    assert code == 0 and shop.available(1, ONLINE) == 100 and json.loads(out.splitlines()[-1])["applies"] == inverse


def test_a_run_that_is_not_known_cannot_be_applied(config: Path) -> None:
    code, _, message = typed(config, "apply", "20260101T000000Z-ab12")

    assert code == 2 and "20260101T000000Z-ab12" in message
