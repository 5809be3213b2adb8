"""The commands of webhooks and the schedule, as they are typed."""

import builtins
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rehearsal import HARD, RECENT, Rehearsal, open_rehearsal
from typer.testing import CliRunner, Result

from invsync.cli import app


@pytest.fixture
def rehearsal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rehearsal]:
    with open_rehearsal(tmp_path, monkeypatch) as opened:
        text = opened.config.read_text()
        address = 'webhook_url = "https://hooks.example.com"'
        opened.config.write_text(text.replace("[shops.demo.oms]", f"{address}\n[shops.demo.oms]"))
        yield opened


def typed(rehearsal: Rehearsal, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--config", str(rehearsal.config)])


def test_subscriptions_are_looked_at_then_registered(rehearsal: Rehearsal) -> None:
    looked = typed(rehearsal, "webhooks", "register", "--shop", "demo", "--check")
    made = typed(rehearsal, "webhooks", "register", "--shop", "demo")

    assert (looked.exit_code, made.exit_code) == (4, 0)
    assert [line.split()[:2] for line in made.stdout.splitlines()][1] == ["ORDERS_CREATE", "created"]


@pytest.mark.parametrize(
    "words",
    [
        ("webhooks", "register", "--shop", "other"),
        ("webhooks", "serve", "--shop", "demo"),
        ("schedule", "run", "--shop", "other"),
        ("schedule", "check", "--shop", "other"),
        ("schedule", "adopt", "none.ipynb"),
        ("schedule", "export", "--to", "cron"),
    ],
)
def test_wrong_usage_is_2(rehearsal: Rehearsal, words: tuple[str, ...]) -> None:
    assert typed(rehearsal, *words).exit_code == 2


def test_an_export_of_one_file_is_printed_as_it_is(rehearsal: Rehearsal) -> None:
    result = typed(rehearsal, "schedule", "export", "--to", "crontab")

    assert result.exit_code == 0 and result.stdout.startswith("# invsync: the schedule of")


def test_an_export_of_several_files_is_written_into_a_folder(rehearsal: Rehearsal, tmp_path: Path) -> None:
    out = tmp_path / "units"

    printed = typed(rehearsal, "schedule", "export", "--to", "systemd").stdout
    typed(rehearsal, "schedule", "export", "--to", "systemd", "--out", str(out))

    names = sorted(path.name for path in out.iterdir())
    assert names == sorted(line.split()[-1] for line in printed.splitlines() if line.startswith("# file: "))
    assert "invsync-demo-webhooks.service" in names


def test_the_check_prints_the_jobs_that_do_not_run(rehearsal: Rehearsal) -> None:
    before = typed(rehearsal, "schedule", "check")
    for job in (RECENT, HARD):
        rehearsal.run(datetime.now(UTC), job=job)
    after = typed(rehearsal, "schedule", "check")

    assert (before.exit_code, after.exit_code, after.stdout) == (4, 0, "")
    assert {json.loads(line)["facts"]["job"] for line in before.stdout.splitlines()} == {RECENT, HARD}


def test_a_library_that_is_missing_is_named(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("cronsim"):
            raise ModuleNotFoundError("no cronsim", name="cronsim")
        return real(name, *rest)

    for name in [name for name in sys.modules if name.startswith(("invsync.schedule", "cronsim"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    result = typed(rehearsal, "schedule", "export", "--to", "crontab")

    assert (result.exit_code, result.stderr.strip()) == (2, "The schedule needs cronsim: install invsync[schedule].")
