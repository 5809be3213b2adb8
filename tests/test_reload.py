"""A running scheduler reads its configuration again: shops come, go and change, and the others are left alone."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from invsync.config import settings
from invsync.errors import LeaseHeld
from invsync.schedule.embedded import Keeper
from invsync.schedule.workers import Workers
from invsync.state import State

SHOP = """
[shops.{name}]
domain = "{name}.myshopify.com"
token_env = "TOKEN_THAT_IS_NOT_SET"
[shops.{name}.oms]
shop_id = "ACME"
[shops.{name}.schedule]
upload_recent_changes = "{cron}"
"""


def write(config: Path, *names: str, cron: str = "*/15 * * * *", state: str = "state.db") -> Path:
    shops = [SHOP.format(name=name, cron=cron) for name in names]
    config.write_text(f'[state]\nurl = "sqlite:///{config.parent}/{state}"\n' + "".join(shops))
    return config


@pytest.fixture
def lines() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def keeper(tmp_path: Path, lines: list[dict[str, Any]]) -> Iterator[Keeper]:
    """A scheduler of acme and brick that is not started."""
    config = write(tmp_path / "invsync.toml", "acme", "brick")
    configured = settings.load(config)
    state = State(configured.state.url)
    made = Keeper(config, [], "inprocess", False, lambda line: lines.append(dict(line)), configured, state, Workers(1))
    made.keep(configured)
    yield made
    made.close()
    state.close()


def jobs(keeper: Keeper, shop: str) -> dict[str, str]:
    """The jobs of a shop and their ids."""
    every = [job for job in keeper.scheduler.get_jobs() if job.executor == shop]
    return {str(job.args[0]) if job.args else job.func.__name__: job.id for job in every}


def test_a_new_shop_is_kept_and_the_others_are_left_alone(keeper: Keeper, lines: list[dict[str, Any]]) -> None:
    before = jobs(keeper, "acme"), keeper.runners["acme"]
    write(keeper.config, "acme", "brick", "cedar")

    keeper.reload()

    assert lines == [
        {"job": "reload", "added": ["cedar"], "removed": [], "changed": [], "status": "done", "exit_code": 0}
    ]
    assert (jobs(keeper, "acme"), keeper.runners["acme"]) == before
    assert set(jobs(keeper, "cedar")) == {"upload-recent-changes", "hard-sync", "prune"}


def test_a_shop_that_is_gone_is_free_for_another_scheduler(keeper: Keeper) -> None:
    write(keeper.config, "acme")
    with pytest.raises(LeaseHeld), keeper.state.lease("brick scheduler", "another"):
        pass

    keeper.reload()

    assert jobs(keeper, "brick") == {} and "brick" not in keeper.runners
    with keeper.state.lease("brick scheduler", "another"):
        pass


def test_a_shop_with_other_times_is_scheduled_anew(keeper: Keeper, lines: list[dict[str, Any]]) -> None:
    write(keeper.config, "acme", "brick", cron="7 * * * *")

    keeper.reload()

    assert lines[0]["changed"] == ["acme", "brick"]
    assert {entry.cron for entry in keeper.table if entry.job == "upload-recent-changes"} == {"7 * * * *"}
    assert len(jobs(keeper, "acme")) == 3


@pytest.mark.parametrize(
    ("wrong", "words"),
    [("shops = 1", "is wrong"), ("[shops", "is not TOML"), ("{state}", "names no shop")],
)
def test_a_faulty_configuration_is_refused_and_the_schedule_stays(
    keeper: Keeper, lines: list[dict[str, Any]], wrong: str, words: str
) -> None:
    before = jobs(keeper, "acme"), keeper.table, keeper.configured
    keeper.config.write_text(wrong.format(state=write(keeper.config).read_text()))

    keeper.reload()

    assert (lines[0]["job"], lines[0]["exit_code"]) == ("reload", 2) and words in lines[0]["message"]
    assert (jobs(keeper, "acme"), keeper.table, keeper.configured) == before


def test_a_wrong_cron_text_and_another_database_are_refused(keeper: Keeper, lines: list[dict[str, Any]]) -> None:
    for change in ({"cron": "61 * * * *"}, {"state": "other.db"}):
        write(keeper.config, "acme", "cedar", **change)
        keeper.reload()

    assert ["is wrong" in lines[0]["message"], "restart the scheduler" in lines[1]["message"]] == [True, True]
    assert set(keeper.runners) == {"acme", "brick"}


def test_a_shop_that_another_scheduler_keeps_is_left_out(keeper: Keeper, lines: list[dict[str, Any]]) -> None:
    write(keeper.config, "acme", "brick", "cedar")
    with keeper.state.lease("cedar scheduler", "another"):
        keeper.reload()

    assert (lines[0]["shop"], lines[0]["exit_code"]) == ("cedar", 75)
    assert lines[1]["added"] == [] and "cedar" not in keeper.runners


def test_a_hangup_reloads_a_running_scheduler_and_a_termination_ends_it(tmp_path: Path) -> None:
    config = write(tmp_path / "invsync.toml", "acme")
    command = [sys.executable, "-m", "invsync.cli", "schedule", "run", "--config", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    guard = threading.Timer(120, process.kill)
    guard.start()
    assert process.stdout is not None
    reports = (json.loads(line) for line in process.stdout)
    next(line for line in reports if line.get("job") == "hard-sync")  # it runs

    write(config, "acme", "brick")
    process.send_signal(signal.SIGHUP)
    added = next(line for line in reports if line["job"] == "reload")
    ran = next(line for line in reports if line.get("shop") == "brick")
    config.write_text("[shops")
    process.send_signal(signal.SIGHUP)
    refused = next(line for line in reports if line["job"] == "reload")
    process.send_signal(signal.SIGTERM)
    list(reports)

    assert (added["added"], ran["exit_code"], refused["exit_code"]) == (["brick"], 2, 2)
    assert process.wait(60) == 0
    guard.cancel()
