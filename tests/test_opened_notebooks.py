"""Every notebook as it is opened: from its folder, with its own defaults, beside a shop that is alive."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import papermill
import pytest
from rehearsal import HARD, ONLINE, START, TOKEN, Rehearsal, of_shop
from test_lab import output_text

import invsync
from invsync.config import nearest
from invsync.engine import inprocess
from invsync.errors import UsageError
from invsync.sandbox import demo

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def run_as_opened(name: str, **given: Any) -> Any:
    """The notebook executed in the current folder with no parameters but these."""
    inprocess.register()
    return papermill.execute_notebook(
        NOTEBOOKS / name, f"opened-{name}", parameters=given, progress_bar=False, engine_name=inprocess.NAME
    )


@pytest.fixture
def shop(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rehearsal]:
    """A shop with a configuration above the folder of the notebooks, and its token in a file as the sandbox leaves it."""
    of_shop(rehearsal.config, "guards = { max_changed_share = 1 }")
    rehearsal.product(1, "A", oms=50, available=52)
    rehearsal.product(2, "B", oms=9, available=9)
    rehearsal.shop.place_order(1001, "#1001", START, [(2, 3)], ONLINE)
    below = rehearsal.config.parent / "notebooks"
    below.mkdir()
    (rehearsal.config.parent / nearest.VARIABLES).write_text(f"{demo.TOKEN_ENV}={TOKEN}\n")
    monkeypatch.delenv(demo.TOKEN_ENV)
    monkeypatch.chdir(below)
    yield rehearsal
    os.environ.pop(demo.TOKEN_ENV, None)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hard_sync.ipynb", "2 mapped pairs"),
        ("upload_recent_changes.ipynb", "Largest variances"),
        ("realtime_sync.ipynb", "No order was in flight"),
        ("explain_level.ipynb", "#1001"),
    ],
)
def test_a_notebook_shows_the_shop_that_is_configured_above_it(shop: Rehearsal, name: str, words: str) -> None:
    before = shop.available(1, 2)
    made = run_as_opened(name)
    text = output_text(made) + "".join(
        str(output.get("data", {}).get("text/plain", "")) for cell in made.cells for output in cell.get("outputs", [])
    )

    assert words in text and shop.available(1, 2) == before, "a notebook that is opened sends nothing"
    assert not list(Path().glob("reports")), "its paths are those of the configuration's folder"


def test_a_run_is_undone_as_opened_and_a_plan_must_be_named(shop: Rehearsal) -> None:
    os.environ[demo.TOKEN_ENV] = TOKEN
    first = shop.run(START, HARD, dry_run=False)
    planned = shop.run(START, HARD, dry_run=True)

    assert f"Run {first['run_id']} changed 1 pairs" in output_text(run_as_opened("undo_run.ipynb"))
    with pytest.raises(papermill.PapermillExecutionError, match="Set run to the dry run whose plan is sent") as error:
        run_as_opened("apply_plan.ipynb")
    assert planned["run_id"] in str(error.value)


def test_the_history_shows_the_runs_of_the_configuration_above(shop: Rehearsal) -> None:
    os.environ[demo.TOKEN_ENV] = TOKEN
    shop.run(START, HARD, dry_run=False)

    assert "1 runs looked at 2 pairs." in output_text(run_as_opened("run_history.ipynb"))


def test_a_job_that_would_undo_the_other_is_refused_in_a_sentence(shop: Rehearsal) -> None:
    with pytest.raises(papermill.PapermillExecutionError, match="is kept by resets, which push-deltas would undo"):
        run_as_opened("push_deltas.ipynb")


def test_without_a_configuration_the_notebook_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(papermill.PapermillExecutionError, match=r"set config to the file.*invsync demo --keep"):
        run_as_opened("hard_sync.ipynb")


def test_of_several_shops_one_must_be_named(tmp_path: Path) -> None:
    configured = nearest.opened(_two_shops(tmp_path))

    with pytest.raises(UsageError, match="has the shops acme, birch: set shop to one of them"):
        nearest.shop_of(configured)
    with pytest.raises(UsageError, match="correct shop"):
        nearest.shop_of(configured, "cedar")
    assert nearest.shop_of(configured, "birch") == "birch"


def test_of_the_variables_beside_a_configuration_only_its_secrets_are_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone may have written the file that lies in a folder above."""
    monkeypatch.setenv("T", "")
    monkeypatch.delenv("T")
    _two_shops(tmp_path).with_name(nearest.VARIABLES).write_text("T=shpat_0123456789\nHTTPS_PROXY=http://127.0.0.1:9\n")

    nearest.opened(tmp_path / "invsync.toml")

    assert os.environ["T"] == "shpat_0123456789" and "HTTPS_PROXY" not in os.environ


def _two_shops(folder: Path) -> Path:
    path = folder / "invsync.toml"
    parts = [
        f'[shops.{name}]\ndomain = "{name}.myshopify.com"\ntoken_env = "T"\n[shops.{name}.oms]\nurl = "sqlite:///o.db"\nshop_id = "S"\n'
        for name in ("acme", "birch")
    ]
    path.write_text("".join(parts))
    return path


def test_a_demo_that_is_kept_can_be_explored_from_below_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(demo.TOKEN_ENV, "shpat_sandbox_0123456789")
    lines: list[str] = []
    seen: list[Any] = []

    def explore(page: Path) -> None:
        monkeypatch.delenv(demo.TOKEN_ENV)
        (tmp_path / "notebooks").mkdir()
        monkeypatch.chdir(tmp_path / "notebooks")
        seen.append((page.exists(), invsync.open().explain().target))

    demo.play(tmp_path / "demo", hours=1, tell=lines.append, keep=explore)
    os.environ.pop(demo.TOKEN_ENV, None)

    ((exists, target),) = seen
    assert exists and target > 0
    assert (tmp_path / "demo" / nearest.VARIABLES).stat().st_mode & 0o077 == 0
