"""First steps: from answers to a configuration without secrets, a look by doctor, and a rehearsal."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from invsync.cli import app
from invsync.sandbox import demo
from invsync.sandbox.hotwax import HotWax, create_app
from invsync.sandbox.server import hosting, serve

SECRETS = {"ACME_TOKEN": "shpat_planted_0123456789abcdef", "HOTWAX_PASSWORD": "planted-password"}


@pytest.fixture
def addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """A shop of real sales and HotWax's APIs, and this user's secrets in its variables."""
    monkeypatch.chdir(tmp_path)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(demo.TOKEN_ENV, SECRETS["ACME_TOKEN"])
    world = demo.live(tmp_path / "world")
    with serve(world.shop) as shop, hosting(create_app(HotWax(world.oms.url, SECRETS["HOTWAX_PASSWORD"]))) as hotwax:
        yield shop, hotwax
    world.oms.close()


def init(*more: str) -> list[str]:
    return ["init", "--shop", "acme", "--domain", "acme.myshopify.com", "--shop-id", "SANDBOX", *more]


def test_a_new_shop_ends_with_the_report_of_a_rehearsal(addresses: tuple[str, str], tmp_path: Path) -> None:
    shop, hotwax = addresses
    typed = init("--endpoint", shop, "--kind", "rest", "--url", hotwax, "--username", "sync")

    result = CliRunner().invoke(app, typed)

    assert result.exit_code == 0, result.output
    text = (tmp_path / "invsync.toml").read_text()
    assert tomllib.loads(text)["shops"]["acme"]["oms"] == {
        "kind": "rest",
        "url": hotwax,
        "username": "sync",
        "password_env": "HOTWAX_PASSWORD",
        "shop_id": "SANDBOX",
        "facility_group_id": "FAC_GRP",
    }
    assert not any(secret in text + result.output for secret in SECRETS.values())
    [facts] = [json.loads(file.read_text()) for file in (tmp_path / "reports").rglob("run.json")]
    assert facts["status"] == "planned" and facts["counts"]["selected"] > 1000
    assert 0 < facts["counts"]["planned"] < 10 and facts["in_flight"]["units"] > 100  # sold units stay off sale
    assert "report.html" in result.output


def test_a_fault_that_doctor_finds_ends_the_first_steps(addresses: tuple[str, str], tmp_path: Path) -> None:
    shop, _ = addresses
    typed = init("--endpoint", shop, "--kind", "rest", "--url", "http://127.0.0.1:9", "--username", "sync")

    result = CliRunner().invoke(app, typed)

    assert result.exit_code == 4 and "Fix the faults" in result.stderr
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ([], "give --domain"),
        (["--kind", "pigeon"], "none of database, rest, files"),
        (["--kind", "rest"], "give --url"),
        (["--kind", "database", "--url", "mysql://hotwax:s3cret@db/oms"], "holds a password"),
        (["--kind", "rest", "--url", "http://acme-maarg.hotwax.io"], "plain http is refused"),
    ],
)
def test_answers_that_cannot_work_leave_no_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(app, init(*more) if more else ["init", "--shop", "acme"])

    assert result.exit_code == 2
    assert words in result.stderr
    assert not (tmp_path / "invsync.toml").exists()


def test_another_shop_is_added_and_the_same_one_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACME_TOKEN", "shpat_planted")
    file = tmp_path / "invsync.toml"
    file.write_text('[shops.other]\ndomain = "o.myshopify.com"\ntoken_env = "T"\n[shops.other.oms]\nshop_id = "O"\n')

    first = CliRunner().invoke(app, init("--endpoint", "http://127.0.0.1:9", "--kind", "files", "--path", "none"))
    again = CliRunner().invoke(app, init("--endpoint", "http://127.0.0.1:9", "--kind", "files", "--path", "none"))

    assert set(tomllib.loads(file.read_text())["shops"]) == {"other", "acme"}
    assert first.exit_code in {4, 5} and again.exit_code == 2 and "already" in again.stderr
