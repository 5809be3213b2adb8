"""Each command reads only the secrets that it uses, as docs/security.md says."""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from rehearsal import HARD, START, TOKEN, Rehearsal, of_shop
from test_adopted import execute
from typer.core import TyperGroup
from typer.testing import CliRunner

from invsync import serving
from invsync.cli import app
from invsync.config import settings
from invsync.jobs import launch
from invsync.sandbox import demo
from invsync.site.server import Guarded

PAGE = Path(__file__).parents[1] / "docs" / "security.md"
SHOPIFY, APP, HOOKS, HOTWAX, ALERTS, TELEMETRY, OTHER = (
    "SHOPIFY_TOKEN",
    "APP_SECRET",
    "HOOK_SECRET",
    "HOTWAX_URL",
    "ALERT_ADDRESSES",
    "OTLP_HEADERS",
    "OTHER_TOKEN",
)
KINDS = {
    SHOPIFY: "Shopify",
    HOOKS: "webhooks",
    HOTWAX: "HotWax",
    ALERTS: "alerts",
    TELEMETRY: "telemetry",
}
RUN = {SHOPIFY, HOTWAX, ALERTS, TELEMETRY}
COMMANDS: dict[str, tuple[str, set[str]]] = {
    "run": (f"{HARD} --shop demo --at {START.isoformat()}", RUN),
    "shadow": ("--shop demo", RUN),
    "apply": ("<planned>", RUN),
    "undo": ("<sent>", RUN),
    "explain": ("--shop demo --sku S1", {SHOPIFY, HOTWAX}),
    "init": (
        f"--shop fresh --endpoint <endpoint> --token-env {SHOPIFY} --url-env {HOTWAX} --shop-id X --domain f.myshopify.com",
        RUN,
    ),
    "doctor": ("--shop demo", RUN | {HOOKS}),
    "webhooks serve": ("--shop demo", {HOOKS}),
    "webhooks register": ("--shop demo", {SHOPIFY}),
    "schedule run": ("", set()),
    "schedule export": ("--to kubernetes", set()),
    "schedule check": ("", {ALERTS}),
    "schedule health": ("", set()),
    "schedule adopt": ("<executed>", RUN),
    "reports build": ("", set()),
    "reports serve": ("--port 0", set()),
    "reports week": ("--shop demo", set()),
    "faults": ("", set()),
    "faults snooze": ("abc --until 2999-01-01 --reason why", set()),
    "faults wake": ("abc", set()),
    "metrics serve": ("", set()),
    "state check": ("", set()),
    "state prune": ("", set()),
}
SCHEDULER = "invsync.schedule.embedded.BackgroundScheduler"
WITHOUT_CONFIGURATION = {"completion", "demo", "metrics dashboard", "sandbox serve"}
CONFIGURED = f"""
client_id = "app"
client_secret_env = "{APP}"
webhook_secret_env = "{HOOKS}"
webhook_url = "http://127.0.0.1:9"
"""
BESIDE = f"""
[shops.other]
domain = "other.myshopify.com"
token_env = "{OTHER}"
[shops.other.oms]
url = "sqlite:///none.db"
shop_id = "O"
[alerts]
url_env = "{ALERTS}"
[telemetry]
otlp_endpoint = "http://127.0.0.1:9"
otlp_headers_env = "{TELEMETRY}"
"""
_watched: dict[str, list[str]] = {}  # folders of secrets, with the names of the files that were opened there


def _note(event: str, given: tuple[Any, ...]) -> None:
    if event == "open" and _watched and isinstance(given[0], str | Path):
        path = Path(given[0])
        _watched.get(str(path.parent), []).append(path.name)


sys.addaudithook(_note)


@pytest.fixture
def opened_files(
    rehearsal: Rehearsal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], set[str]]]:
    """What gives the secrets that were read so far, of a configuration that names every kind, each in a file."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    values = {SHOPIFY: TOKEN, HOTWAX: f"sqlite:///{tmp_path}/oms.db", ALERTS: "http://127.0.0.1:9/planted"}
    for name in (*KINDS, APP, OTHER):
        (folder / name).write_text(values.get(name, f"planted-{name.lower()}"))
        monkeypatch.setenv(f"{name}_FILE", str(folder / name))
    text = of_shop(rehearsal.config, CONFIGURED).read_text().replace(demo.TOKEN_ENV, SHOPIFY)
    rehearsal.config.write_text(text.replace(f'url = "{values[HOTWAX]}"', f'url_env = "{HOTWAX}"') + BESIDE)
    rehearsal.product(1, "S1", oms=10, available=7)
    _watched[str(folder)] = []
    yield lambda: set(_watched[str(folder)])
    _watched.clear()


def _prepared(words: str, rehearsal: Rehearsal) -> list[str]:
    """The words of a command line, with the run that it is about."""
    if "<planned>" in words:
        return [rehearsal.run(START, HARD, dry_run=True)["run_id"]]
    if "<sent>" in words:
        return [rehearsal.run(START, HARD)["run_id"]]
    if "<executed>" in words:
        return [str(execute(rehearsal))]
    return words.replace("<endpoint>", settings.load(rehearsal.config).shop("demo").base_url).split()


def _without_end(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a command that serves or schedules end as soon as it has begun."""
    monkeypatch.setattr(serving, "run", lambda *_, **__: None)
    monkeypatch.setattr(Guarded, "timeout", 1)
    monkeypatch.setattr("http.server.HTTPServer.serve_forever", lambda _: None)
    monkeypatch.setattr(f"{SCHEDULER}.start", lambda _: signal.raise_signal(signal.SIGTERM))
    monkeypatch.setattr(f"{SCHEDULER}.shutdown", lambda _: None)
    if command == "shadow":
        monkeypatch.setenv("INVSYNC_SHOPS__DEMO__KEEP_BY", "another")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_reads_only_the_secrets_that_it_uses(
    rehearsal: Rehearsal, opened_files: Callable[[], set[str]], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    words, used = COMMANDS[command]
    prepared = _prepared(words, rehearsal)
    _without_end(command, monkeypatch)
    for opened in _watched.values():
        opened.clear()
    result = CliRunner().invoke(app, [*command.split(), *prepared, "--config", str(rehearsal.config)])

    assert opened_files() == used, result.output
    assert result.exit_code in (0, 2, 4), (result.output, result.exception)


@pytest.mark.parametrize(("without", "reads"), [("token_env", {APP}), ("nothing", {SHOPIFY})])
def test_the_secret_of_the_app_is_read_only_where_there_is_no_token(
    rehearsal: Rehearsal, opened_files: Callable[[], set[str]], without: str, reads: set[str]
) -> None:
    lines = rehearsal.config.read_text().splitlines()
    rehearsal.config.write_text("\n".join(line for line in lines if not line.startswith(f'{without} = "{SHOPIFY}')))
    shop = settings.load(rehearsal.config).shop("demo")
    settings.read(shop.api_variables, os.environ)

    assert opened_files() == reads


def test_the_receiver_reads_the_secret_of_the_app_where_that_signs(
    rehearsal: Rehearsal, opened_files: Callable[[], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rehearsal.config.write_text(rehearsal.config.read_text().replace(f'webhook_secret_env = "{HOOKS}"', ""))
    _without_end("webhooks serve", monkeypatch)
    CliRunner().invoke(app, ["webhooks", "serve", "--shop", "demo", "--config", str(rehearsal.config)])

    assert opened_files() == {APP}


def test_a_run_reads_the_secrets_of_shops_on_the_same_stock(
    rehearsal: Rehearsal, opened_files: Callable[[], set[str]]
) -> None:
    text = rehearsal.config.read_text().replace('url = "sqlite:///none.db"', f'url_env = "{HOTWAX}"')
    rehearsal.config.write_text(text.replace('shop_id = "O"', 'shop_id = "O"\nfacility_group_id = "FAC_GRP"'))
    launch.read_secrets(settings.load(rehearsal.config), "demo")

    assert opened_files() == RUN | {OTHER}


def _commands(command: Any, *names: str) -> Iterator[tuple[str, set[str]]]:
    """Every command that does something: its words, and the names of its parameters."""
    if not isinstance(command, TyperGroup) or command.invoke_without_command:
        yield " ".join(names), {str(parameter.name) for parameter in command.params}
    if isinstance(command, TyperGroup):
        for name, one in command.commands.items():
            yield from _commands(one, *names, name)


def test_every_command_is_in_the_table_unless_it_takes_no_configuration() -> None:
    commands = dict(_commands(typer.main.get_command(app)))

    assert {name for name, parameters in commands.items() if "config" in parameters} == set(COMMANDS)
    assert set(commands) == set(COMMANDS) | WITHOUT_CONFIGURATION


def test_the_page_on_security_has_the_same_table() -> None:
    section = PAGE.read_text().partition("## Who reads which secret")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|", section, re.MULTILINE)
    said = {name: set(kinds.split(", ")) - {"none"} for names, kinds in rows for name in re.findall("`(.*?)`", names)}

    assert said == {name: {KINDS[one] for one in used} for name, (_, used) in COMMANDS.items()}
