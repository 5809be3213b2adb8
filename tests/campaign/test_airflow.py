"""The exported DAG, really executed by Airflow in an environment of its own, for three shops on PostgreSQL."""

import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import servers
from live import ONLINE, TOKEN

from invsync.jobs import launch
from invsync.sandbox import demo
from invsync.sandbox.oms import Oms
from invsync.sandbox.server import serve
from invsync.sandbox.shop import Shop

PINS = Path(__file__).with_name("airflow.txt")
SHOPS, TWINS = ["north", "south", "west"], ["north-twin", "south-twin", "west-twin"]
YESTERDAY = datetime.now(UTC) - timedelta(days=1)
JOB = "hard-sync"
ABOUT_THE_RUN = {"run_id", "started_at", "finished_at", "files", "shop", "operation_ids"}

SHOP = """\
[shops.{name}]
domain = "{name}.myshopify.com"
endpoint = "{endpoint}"
token_env = "{token}"
[shops.{name}.oms]
url = "sqlite:///{folder}/{oms}.db"
shop_id = "SANDBOX"
facility_group_id = "FAC_GRP"
[shops.{name}.guards]
max_changed_share = 1.0
max_zeroed_share = 1.0
"""


def airflow() -> Path:
    """The folder of Airflow's programs, installed as pinned where it is not there yet."""
    home = Path(os.environ.get("INVSYNC_AIRFLOW") or Path(tempfile.gettempdir()) / "invsync-airflow")
    if not (home / "bin" / "airflow").exists():
        venv.create(home, with_pip=True, clear=True)
        install = [home / "bin" / "python", "-m", "pip", "install", "-qq", "--requirement", PINS]
        subprocess.run(install, check=True)
    return home / "bin"


def make(folder: Path, name: str, seed: int) -> tuple[Shop, Oms]:
    """A shop of 40 items of which some are wrong, the same for the same seed."""
    shop, oms = Shop(token=TOKEN), Oms(f"sqlite:///{folder}/{name}.db").create()
    shop.add_location(ONLINE, "Online")
    with oms.batch():
        oms.add_facility("WH", "Warehouse")
        oms.map_location("_NA_", ONLINE)
        oms.stock_up([(f"P{item}", f"S{item}", item, 100 - item) for item in range(1, 41)], "WH", YESTERDAY)
    for item in range(1, 41):
        shop.add_item(item, f"S{item}", tracked=item != 7)
        shop.set_level(item, ONLINE, 100 - item if item % (seed + 2) else item)
    shop.place_order(900 + seed, f"#{seed}", YESTERDAY, [(1, 2), (2, 3)], ONLINE)
    shop.refuse.add(10 * (seed + 2))
    return shop, oms


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, dict[str, Shop]]]:
    """Three shops and a twin of each, their state on PostgreSQL; the configuration, and the shops by name."""
    monkeypatch.setenv(demo.TOKEN_ENV, TOKEN)
    made = {name: make(tmp_path, name, number % 3) for number, name in enumerate([*SHOPS, *TWINS])}
    with ExitStack() as served:
        url = served.enter_context(servers.postgresql())
        endpoints = [served.enter_context(serve(shop)) for shop, _ in made.values()]
        text = f'[state]\nurl = "{url}"\n[reports]\npath = "{tmp_path}/reports"\n'
        text += "".join(
            SHOP.format(name=name, endpoint=endpoint, token=demo.TOKEN_ENV, folder=tmp_path, oms=name)
            for name, endpoint in zip(made, endpoints, strict=True)
        )
        (tmp_path / "invsync.toml").write_text(text)
        yield tmp_path / "invsync.toml", {name: shop for name, (shop, _) in made.items()}
    for _, oms in made.values():
        oms.close()


class Engine:
    """Airflow's own command line over a home of its own."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.programs, self.folder = programs, folder
        self.environment = os.environ | {
            "AIRFLOW_HOME": str(folder / "airflow-home"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "NO_PROXY": "*",
            "PYTHONPATH": "",
        }

    def __call__(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [self.programs / "airflow", *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=1800,
        )
        assert not check or done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        """What a listing says, between the lines of Airflow's log."""
        lines = self(*arguments, "--output", "json").stdout.splitlines()
        listing: list[dict[str, Any]] = json.loads(next(line for line in lines if line.startswith(("[{", "[]"))))
        return listing

    def states(self, dag: str, run: str) -> dict[tuple[str, int], str]:
        rows = self.rows("tasks", "states-for-dag-run", dag, run)
        return {(row["task_id"], int(row.get("map_index") or 0)): row["state"] for row in rows}


def outcomes(folder: Path) -> pl.DataFrame:
    """What became of each pair; the moment of it is the run's own."""
    return pl.read_parquet(folder / "outcomes.parquet").drop("after_at").sort("inventory_item_id", "location_id")


def the_run(config: Path, shop: str) -> tuple[Path, dict[str, Any]]:
    (folder,) = (config.parent / "reports" / shop / JOB).iterdir()
    return folder, json.loads((folder / "run.json").read_text())


def test_airflow_executes_the_exported_dag_for_three_shops(world: tuple[Path, dict[str, Shop]]) -> None:
    config, shops = world
    programs = airflow()
    kernel = [sys.executable, "-m", "ipykernel", "install", "--prefix", str(programs.parent), "--name", "invsync"]
    subprocess.run(kernel, check=True, capture_output=True)
    named = [word for shop in SHOPS for word in ("--shop", shop)]
    export = [sys.executable, "-m", "invsync.cli", "schedule", "export", "--to", "airflow", "--out", "dags", *named]
    subprocess.run([*export, "--config", str(config)], cwd=config.parent, check=True)
    engine = Engine(config.parent, programs)
    engine("db", "migrate")
    dag = next(row["dag_id"] for row in engine.rows("dags", "list", "--local") if JOB in row["dag_id"])

    done = engine("dags", "test", dag, check=False)
    states = engine.states(dag, engine.rows("dags", "list-runs", dag)[0]["run_id"])
    twins = {
        shop: launch.run(JOB, {"shop": twin, "config": str(config)}, engine="inprocess")
        for shop, twin in zip(SHOPS, TWINS, strict=True)
    }

    print(states, flush=True)
    assert {key: state for key, state in states.items() if key[0] == JOB} == {(JOB, n): "success" for n in range(3)}, (
        done.stdout[-3000:] + done.stderr[-3000:]
    )
    for shop, twin in zip(SHOPS, TWINS, strict=True):
        folder, facts = the_run(config, shop)
        assert (folder / "report.html").stat().st_size > 10_000 and (folder / "report.ipynb").exists()
        assert {k: v for k, v in facts.items() if k not in ABOUT_THE_RUN} | {"window": None} == {
            k: v for k, v in twins[shop].items() if k not in ABOUT_THE_RUN
        } | {"window": None}
        assert outcomes(folder).equals(outcomes(the_run(config, twin)[0]))
        assert [shops[shop].available(item, ONLINE) for item in range(1, 41)] == [
            shops[twin].available(item, ONLINE) for item in range(1, 41)
        ]
        assert TOKEN.encode() not in b"".join(path.read_bytes() for path in folder.iterdir())
