"""The schedule: its table, its exports, each read by the engine's own parser, and the embedded scheduler."""

import itertools
import re
import shlex
import shutil
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import kubernetes_validate
import pytest
import sqlalchemy as sa
import yaml
from cronsim import CronSim
from typer.testing import CliRunner

from invsync.cli import app
from invsync.config import settings
from invsync.errors import InvsyncError, LeaseHeld, UsageError
from invsync.inbox import CREATED, Heard, Inbox
from invsync.runs.record import Record
from invsync.schedule import embedded, keeping
from invsync.schedule.embedded import Cron, ShopRunner
from invsync.schedule.export import Exporter
from invsync.schedule.export.files import export
from invsync.schedule.export.systemd import calendar
from invsync.schedule.keeping import lease_name
from invsync.schedule.table import Entry, entries
from invsync.schedule.watchdog import overdue
from invsync.state import State

EXPORTERS = get_args(Exporter)
NOW = datetime(2026, 11, 23, 12, 7, tzinfo=UTC)
CONFIG = """
[state]
url = "sqlite:///{folder}/state.db"
[shops.acme]
domain = "acme.myshopify.com"
token_env = "ACME_TOKEN"
webhook_secret_env = "ACME_SECRET"
webhook_url = "https://hooks.example.com/acme"
[shops.acme.oms]
shop_id = "ACME"
[shops.brick]
domain = "brick.myshopify.com"
token_env = "BRICK_TOKEN"
keep_by = "deltas"
[shops.brick.oms]
shop_id = "BRICK"
[shops.brick.schedule]
hard_sync = "30 3 1,15 * mon-fri"
push_deltas = "*/10 8-20 * * 0"
"""
CRONS = [
    "*/15 * * * *",
    "0 3 * * *",
    "*/5 * * * *",
    "30 3 1,15 * mon-fri",
    "*/10 8-20 * * 0",
    "0 0 * * 7",
    "5 4 * * sun",
    "0,30 */2 * jan,jul *",
    "7 1-5/2 * 2-11/3 *",
    "0 12 */2 * 1",
    "15 6 29 2 *",
    "0 9 * * sun-tue",
    "0 9 * * 5-7",
    "59 23 31 12 *",
]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "invsync.toml"
    path.write_text(CONFIG.format(folder=tmp_path))
    return path


def written(config: Path, to: str, folder: Path, *shops: str) -> dict[str, str]:
    files = export(to, config, shops, image="registry.example.com/invsync:1")
    for name, text in files.items():
        (folder / name).write_text(text)
    return files


def test_a_shop_has_its_regular_job_and_the_hard_sync(config: Path) -> None:
    table = entries(settings.load(config))

    assert [(entry.shop, entry.job) for entry in table] == [
        ("acme", "upload-recent-changes"),
        ("acme", "hard-sync"),
        ("brick", "push-deltas"),
        ("brick", "hard-sync"),
    ]


@pytest.mark.parametrize("wrong", ["99 3 1,15", "x 3 1,15", "30 3 L"])
def test_a_wrong_cron_text_is_refused_with_its_key(config: Path, wrong: str) -> None:
    config.write_text(config.read_text().replace("30 3 1,15", wrong))

    with pytest.raises(UsageError, match=r"\[shops.brick.schedule\] hard_sync is wrong"):
        entries(settings.load(config))


def test_a_configuration_without_a_shop_is_refused(tmp_path: Path) -> None:
    (tmp_path / "invsync.toml").write_text("")

    with pytest.raises(UsageError, match="names no shop"):
        entries(settings.load(tmp_path / "invsync.toml"))


def test_weekdays_are_read_as_cron_reads_them() -> None:
    sunday = Cron(Entry("acme", "hard-sync", "0 3 * * 0")).get_next_fire_time(None, NOW)

    assert (sunday, f"{sunday:%A}") == (datetime(2026, 11, 29, 3, tzinfo=UTC), "Sunday")


def test_missed_times_count_once() -> None:
    trigger = Cron(Entry("acme", "push-deltas", "*/5 * * * *"))

    assert trigger.get_next_fire_time(NOW - timedelta(hours=3), NOW) == datetime(2026, 11, 23, 12, 10, tzinfo=UTC)


# -- exporters


def test_the_command_line_offers_every_exporter() -> None:
    shown = CliRunner().invoke(app, ["schedule", "export", "--help"]).output

    assert "|".join(EXPORTERS) in shown


def test_the_names_of_the_exporters_are_light_to_import() -> None:
    script = (
        "import sys, invsync.schedule.export; print({'cronsim', 'papermill', 'polars', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)

    assert done.stdout.strip() == "set()", done.stderr


# -- cron


def test_cron_reads_its_export(config: Path, tmp_path: Path) -> None:
    written(config, "crontab", tmp_path)
    if shutil.which("crontab") is None:
        pytest.skip("cron is not installed: apt-get install cron")
    done = subprocess.run(["crontab", "-n", tmp_path / "crontab"], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_a_crontab_has_each_job_the_maintenance_and_the_services(config: Path, tmp_path: Path) -> None:
    lines = written(config, "crontab", tmp_path)["crontab"].splitlines()

    jobs = [line for line in lines if not line.startswith(("#", "@")) and "invsync" in line]
    assert [re.sub(r" cd .* && \S+invsync ", " ", line).split(" --config")[0] for line in jobs] == [
        "*/15 * * * * run upload-recent-changes --shop acme",
        "0 3 * * * run hard-sync --shop acme",
        "*/10 8-20 * * 0 run push-deltas --shop brick",
        "30 3 1,15 * mon-fri run hard-sync --shop brick",
        "*/10 * * * * schedule check",
        "40 4 * * * state prune",
    ]
    assert len([line for line in lines if line.startswith("@reboot")]) == 2


def test_an_export_names_the_variables_of_secrets_and_no_secret(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_TOKEN", "planted-secret")
    texts = [text for to in EXPORTERS for text in written(config, to, tmp_path).values()]

    assert not [text for text in texts if "planted-secret" in text]
    assert "ACME_SECRET, ACME_TOKEN, BRICK_TOKEN" in texts[0]


# -- systemd


def analyze(*arguments: str) -> str:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("cron", CRONS)
def test_systemd_is_due_when_cron_is(cron: str) -> None:
    output = analyze("calendar", "--iterations=20", "--base-time=2026-11-23 12:07:00 UTC", *calendar(cron))
    elapses = re.findall(r"(?:Next elapse|Iter\. #\d+): \w{3} (\S+ \S+) UTC", output)

    times = sorted({datetime.fromisoformat(f"{time}+00:00") for time in elapses})[:20]
    assert len(times) == 20
    assert times == list(itertools.islice(CronSim(cron, NOW), 20))


def test_systemd_reads_its_units(config: Path, tmp_path: Path) -> None:
    files = written(config, "systemd", tmp_path)

    output = analyze("verify", "--man=no", *(str(tmp_path / name) for name in files))

    assert len(files) == 2 * 6 + 2
    assert not [line for line in output.splitlines() if str(tmp_path) in line], output


def test_systemd_reloads_what_runs_the_schedule(config: Path, tmp_path: Path) -> None:
    files = written(config, "systemd", tmp_path)

    reloads = {name for name, text in files.items() if "ExecReload=/bin/kill -HUP $MAINPID\n" in text}
    assert reloads == {"invsync-acme-realtime.service"}


# -- kubernetes


def test_kubernetes_accepts_its_documents(config: Path, tmp_path: Path) -> None:
    documents = list(yaml.safe_load_all(written(config, "kubernetes", tmp_path)["kubernetes.yaml"]))
    for document in documents:
        kubernetes_validate.validate(document, "1.34", strict=True)

    assert [document["kind"] for document in documents] == ["CronJob"] * 6 + ["Deployment", "Service", "Deployment"]
    assert {document["spec"]["timeZone"] for document in documents[:6]} == {"Etc/UTC"}


def containers(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The only container of each pod, with the pod's own settings beside it."""
    pods = []
    for one in documents:
        if one["kind"] != "Service":
            spec = one["spec"].get("jobTemplate", {}).get("spec", one["spec"])
            pod = spec["template"]["spec"]
            (container,) = pod["containers"]
            pods.append(pod | container)
    return pods


def test_a_pod_may_write_only_its_data_and_its_tmp(config: Path, tmp_path: Path) -> None:
    documents = list(yaml.safe_load_all(written(config, "kubernetes", tmp_path)["kubernetes.yaml"]))
    pods = containers(documents)

    assert len(pods) == 8
    for pod in pods:
        assert pod["securityContext"] == {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
        writable = [mount["mountPath"] for mount in pod["volumeMounts"] if not mount.get("readOnly")]
        assert sorted(writable) == ["/data", "/tmp"]
        assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)


def test_a_pod_is_run_as_the_image_is(config: Path, tmp_path: Path) -> None:
    image = (Path(__file__).parents[1] / "docs" / "deploy" / "Dockerfile").read_text()
    (user,) = re.findall(r"^USER (\d+):\d+$", image, re.MULTILINE)
    documents = list(yaml.safe_load_all(written(config, "kubernetes", tmp_path)["kubernetes.yaml"]))
    pods = [
        one["spec"].get("jobTemplate", one)["spec"]["template"]["spec"] for one in documents if one["kind"] != "Service"
    ]

    assert {pod["containers"][0]["workingDir"] for pod in pods} == {
        re.findall(r"^WORKDIR (.+)$", image, re.MULTILINE)[-1]
    }
    assert {pod["securityContext"]["runAsUser"] for pod in pods} == {int(user)}


def test_what_runs_all_the_time_is_probed(config: Path, tmp_path: Path) -> None:
    documents = list(yaml.safe_load_all(written(config, "kubernetes", tmp_path)["kubernetes.yaml"]))
    receiver, realtime = (pod for pod in containers(documents) if "livenessProbe" in pod)

    assert receiver["readinessProbe"]["httpGet"] == {"path": "/healthz", "port": 8765}
    assert receiver["livenessProbe"]["tcpSocket"] == {"port": 8765}
    assert realtime["livenessProbe"]["exec"]["command"][:5] == ["invsync", "schedule", "health", "--shop", "acme"]


def test_names_in_kubernetes_are_valid(config: Path, tmp_path: Path) -> None:
    documents = yaml.safe_load_all(written(config, "kubernetes", tmp_path)["kubernetes.yaml"])

    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?", one["metadata"]["name"]) for one in documents)


# -- airflow


def test_the_dags_are_python_with_one_row_for_each_job_and_cron(config: Path, tmp_path: Path) -> None:
    text = written(config, "airflow", tmp_path)["invsync_dags.py"]
    module: dict[str, object] = {}
    exec(text[text.index("TABLE = {") : text.index("EXECUTED.mkdir")], module)

    assert module["TABLE"] == {
        ("upload-recent-changes", "*/15 * * * *"): ["acme"],
        ("hard-sync", "0 3 * * *"): ["acme"],
        ("push-deltas", "*/10 8-20 * * 0"): ["brick"],
        ("hard-sync", "30 3 1,15 * mon-fri"): ["brick"],
    }
    compile(text, "invsync_dags.py", "exec")


def test_one_shop_can_be_exported_alone(config: Path, tmp_path: Path) -> None:
    crontab = written(config, "crontab", tmp_path, "brick")["crontab"]

    assert "brick" in crontab and "acme" not in crontab


LONG = ["a" * 100, "a" * 99 + "b", "acme-north-america-wholesale-and-outlet", "acme-europe-and-the-uk1", "a" + "-" * 99]


@pytest.fixture
def long_names(tmp_path: Path) -> Path:
    """A configuration of shops whose names are as long as they may be, or just too long for a CronJob."""
    path = tmp_path / "invsync.toml"
    acme = CONFIG.format(folder=tmp_path).partition("[shops.brick]")[0].partition("[shops.acme]")
    shops = [acme[1] + acme[2]] * len(LONG)
    named = [shop.replace("shops.acme", f"shops.{name}") for shop, name in zip(shops, LONG, strict=True)]
    path.write_text(acme[0] + "\n".join(named))
    return path


def test_long_names_fit_kubernetes_and_stay_distinct(long_names: Path, tmp_path: Path) -> None:
    documents = list(yaml.safe_load_all(written(long_names, "kubernetes", tmp_path)["kubernetes.yaml"]))
    names = [(one["kind"], one["metadata"]["name"]) for one in documents]
    limits = {"CronJob": 52, "Deployment": 63, "Service": 63}

    assert len(set(names)) == len(names) == 2 * len(LONG) + 2 + 3 * len(LONG)
    assert all(re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name) and len(name) <= limits[kind] for kind, name in names)
    for document in documents:
        kubernetes_validate.validate(document, "1.34", strict=True)


def test_a_service_of_a_long_name_finds_its_deployment(long_names: Path, tmp_path: Path) -> None:
    documents = list(yaml.safe_load_all(written(long_names, "kubernetes", tmp_path)["kubernetes.yaml"]))
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in documents if one["kind"] == "Deployment"]

    assert all(one["spec"]["selector"] in labels for one in documents if one["kind"] == "Service")


def test_long_names_fit_systemd(long_names: Path, tmp_path: Path) -> None:
    files = written(long_names, "systemd", tmp_path)

    assert len(files) == 4 * len(LONG) + 4 + 2 * len(LONG)
    assert max(map(len, files)) <= 255


def test_names_that_differ_only_in_the_middle_stay_distinct(long_names: Path, tmp_path: Path) -> None:
    name = "a" * 50
    long_names.write_text(long_names.read_text().replace("shops." + "a" * 100, f"shops.{name}b{name[1:]}"))
    documents = yaml.safe_load_all(written(long_names, "kubernetes", tmp_path)["kubernetes.yaml"])
    names = [(one["kind"], one["metadata"]["name"]) for one in documents]

    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", ["Acme", "acme_europe", "-acme", "acme.europe"])
def test_a_shop_name_that_kubernetes_would_not_take_is_refused(config: Path, name: str) -> None:
    config.write_text(config.read_text().replace("shops.acme", f'shops."{name}"'))

    with pytest.raises(UsageError, match="must match"):
        settings.load(config)


def test_a_shop_name_that_is_too_long_is_refused(long_names: Path) -> None:
    long_names.write_text(long_names.read_text().replace("a" * 100, "a" * 101))

    with pytest.raises(UsageError, match="must match"):
        settings.load(long_names)


def test_a_path_with_special_characters_is_escaped_for_each_engine(tmp_path: Path) -> None:
    folder = tmp_path / '50% of $HOME\'s "x"'
    folder.mkdir()
    path = folder / "invsync.toml"
    path.write_text(CONFIG.format(folder=tmp_path))

    lines = [
        line for line in written(path, "crontab", tmp_path)["crontab"].splitlines() if "/50" in line and line[0] != "#"
    ]
    dags = written(path, "airflow", tmp_path)["invsync_dags.py"]

    assert all(r"50\% of" in line and "50% of" not in line for line in lines)
    assert shlex.split(lines[0].replace(r"\%", "%"))[-1] == str(path)
    compile(dags, "invsync_dags.py", "exec")


def test_a_line_that_cron_would_cut_is_refused(config: Path, tmp_path: Path) -> None:
    far = tmp_path / "/".join(["x" * 200] * 5)
    far.mkdir(parents=True)
    config.rename(far / "invsync.toml")

    with pytest.raises(UsageError, match="cron takes 998"):
        export("crontab", far / "invsync.toml", [], image="x")


def test_the_names_of_dags_fit_airflow_and_stay_distinct(config: Path, tmp_path: Path) -> None:
    text = written(config, "airflow", tmp_path)["invsync_dags.py"]
    module: dict[str, Any] = {}
    exec("import hashlib, re\n" + text[text.index("def named") : text.index("def dag(")], module)
    crons = [
        "*/15 * * * *",
        "0 1,2 * * *",
        "0 1-2 * * *",
        "1/2 3 * * *",
        "1 2/3 * * *",
        ",".join(map(str, range(60))) + " 1 * * *",
    ]
    names = [module["named"]("upload-recent-changes", cron) for cron in crons]

    assert names[0] == "invsync-upload-recent-changes-x_15_x_x_x_x"
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[\w.-]{1,250}", name) for name in names)


# -- watchdog


def finished(state: State, at: datetime, job: str = "hard-sync", shop: str = "acme", advances: bool = True) -> None:
    state.runs.record(
        f"{at:%Y%m%dT%H%M%SZ}-aa",
        shop,
        job,
        status="done",
        exit_code=0,
        folder="x",
        thru=at,
        finished_at=at,
        advances=advances,
    )


@pytest.mark.parametrize(("hours", "alerts"), [(1, 0), (24, 0), (30, 0), (36, 1), (72, 1)])
def test_a_job_that_has_not_finished_for_two_of_its_times_has_an_alert(tmp_path: Path, hours: int, alerts: int) -> None:
    state = State(f"sqlite:///{tmp_path}/state.db")
    finished(state, NOW - timedelta(hours=hours))

    assert len(overdue(state, [Entry("acme", "hard-sync", "0 3 * * *")], NOW)) == alerts


def test_a_job_that_only_fails_has_an_alert(tmp_path: Path) -> None:
    state = State(f"sqlite:///{tmp_path}/state.db")
    finished(state, NOW - timedelta(hours=1), advances=False)

    (alert,) = overdue(state, [Entry("acme", "hard-sync", "0 3 * * *")], NOW)
    assert alert.summary == "No hard-sync of acme has ever finished: see what schedules it."


# -- health


def test_a_shop_is_kept_while_its_scheduler_holds_its_lease(config: Path) -> None:
    state = State(settings.load(config).state.url)

    with state.lease(lease_name("acme"), "20261123T120000Z-aa"):
        assert keeping.unkept(config, []) == ["brick"]
        assert keeping.unkept(config, ["acme"]) == []
    assert keeping.unkept(config, []) == ["acme", "brick"]


def test_the_health_of_a_scheduler_is_an_exit_code(config: Path) -> None:
    state = State(settings.load(config).state.url)
    asked = ["schedule", "health", "--shop", "acme", "--config", str(config)]

    idle = CliRunner().invoke(app, asked)
    with state.lease(lease_name("acme"), "20261123T120000Z-aa"):
        kept = CliRunner().invoke(app, asked)

    assert (idle.exit_code, idle.stdout) == (4, "No scheduler keeps acme.\n")
    assert (kept.exit_code, kept.stdout) == (0, "")


# -- runs


class Runs:
    """Workers whose runs end in these ways, one after another."""

    def __init__(self, *ends: Record | InvsyncError) -> None:
        self.ends = list(ends)

    def run(self, job: str, shop: str, config: str, engine: str) -> Record:
        end = self.ends.pop(0)
        if isinstance(end, InvsyncError):
            raise end
        return end


def runner(config: Path, shop: str, report: Any = print, workers: Any = None) -> ShopRunner:
    state = State(settings.load(config).state.url)
    return ShopRunner(shop, str(config), "inprocess", workers, Inbox(state.engine), threading.Event(), report)


def test_a_run_is_reported_as_one_line(config: Path) -> None:
    lines: list[dict[str, Any]] = []
    done = Record("20261123T120000Z-aa", "acme", "hard-sync", "partial", 4, counts={"unknown": 1})

    code = runner(config, "acme", lines.append, Runs(done)).run("hard-sync")

    seconds = lines[0].pop("seconds")
    assert (code, lines, isinstance(seconds, float)) == (
        4,
        [
            {
                "shop": "acme",
                "job": "hard-sync",
                "run_id": "20261123T120000Z-aa",
                "status": "partial",
                "exit_code": 4,
                "counts": {"unknown": 1},
            }
        ],
        True,
    )


def test_a_job_waits_for_the_run_that_holds_the_shop(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(embedded, "AGAIN_SECONDS", 0)
    held = LeaseHeld("Run 1 holds shop acme: wait for it.")

    code = runner(config, "acme", lines.append, Runs(held, held, Record(status="done", exit_code=0))).run("hard-sync")

    assert code == 0
    assert [(line["status"], line["exit_code"], line.get("message")) for line in lines] == [
        ("LeaseHeld", 75, str(held)),
        ("LeaseHeld", 75, str(held)),
        ("done", 0, None),
    ]


# -- pruned


def test_each_shop_is_pruned_once_a_day_by_the_thread_that_runs_its_jobs(config: Path) -> None:
    table, state = entries(settings.load(config)), State(settings.load(config).state.url)
    runners = {shop: runner(config, shop) for shop in ("acme", "brick")}

    inbox = Inbox(state.engine)
    jobs = embedded._scheduler(runners, table, state, inbox).get_jobs()
    pruning = [job for job in jobs if job.func.__name__ == "prune"]

    assert [job.executor for job in pruning] == ["acme", "brick"]
    assert {job.trigger.get_next_fire_time(None, NOW) for job in pruning} == {datetime(2026, 11, 24, 4, 40, tzinfo=UTC)}
    assert not [
        job for job in embedded._scheduler(runners, [], state, inbox).get_jobs() if job.func.__name__ == "prune"
    ]


def test_a_prune_and_its_failure_are_reported(config: Path) -> None:
    lines: list[dict[str, Any]] = []
    configured = settings.load(config)
    State(configured.state.url).shops.kept_as("acme", configured.shop("acme").identity)
    acme = runner(config, "acme", lines.append)

    acme.prune()
    config.write_text(config.read_text().replace("state.db", "nowhere/state.db"))
    acme.prune()

    assert lines[0]["removed"] == {"acme": {"files": 0, "runs": 0, "webhooks": 0, "folders": 0}}
    assert [(line["job"], line["status"], line["exit_code"]) for line in lines] == [
        ("state prune", "done", 0),
        ("state prune", "UsageError", 2),
    ]


# -- the poll


class Queue:
    """A scheduler that only remembers what was queued, and where."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Any, str]] = []

    def add_job(self, job: Any, *, executor: str) -> None:
        self.jobs.append((job, executor))


def delivered(config: Path, *shops: str) -> Inbox:
    inbox = Inbox(State(settings.load(config).state.url).engine)
    inbox.add([Heard(shop, f"{shop}-1", CREATED, order_id=1) for shop in shops])
    return inbox


def test_one_query_asks_for_the_inboxes_of_all_shops(config: Path) -> None:
    inbox, queue = delivered(config, "brick", "gone"), Queue()
    runners = {shop: runner(config, shop) for shop in ("acme", "brick")}
    queries: list[str] = []
    sa.event.listen(inbox._engine, "before_cursor_execute", lambda *event: queries.append(event[2]))

    embedded.call_shops(queue, runners, inbox)

    assert [executor for _, executor in queue.jobs] == ["brick"]
    assert len(queries) == 1


def test_a_shop_is_called_again_only_after_its_drain_and_its_rest(config: Path) -> None:
    inbox, queue, lines = delivered(config, "acme"), Queue(), list[Any]()
    good, bad = (Record("20261123T120000Z-aa", "acme", "realtime-sync", "done", code) for code in (0, 5))
    acme = runner(config, "acme", lines.append, Runs(good, bad))

    for jobs in (1, 1):
        embedded.call_shops(queue, {"acme": acme}, inbox)
        assert len(queue.jobs) == jobs
    acme.drain()
    embedded.call_shops(queue, {"acme": acme}, inbox)
    acme.drain()
    embedded.call_shops(queue, {"acme": acme}, inbox)

    assert (len(queue.jobs), len(lines)) == (2, 2)
    acme.rests_until = 0.0
    embedded.call_shops(queue, {"acme": acme}, inbox)
    assert len(queue.jobs) == 3


def test_a_drain_that_raises_leaves_the_shop_to_the_next_poll(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    acme = runner(config, "acme")
    acme.is_called = True

    def broken(shop: str) -> int:
        raise OSError(shop)

    monkeypatch.setattr(acme.inbox, "count", broken)
    with pytest.raises(OSError, match="acme"):
        acme.drain()

    assert acme.is_free()


def test_a_delivery_starts_its_shop_and_no_other(config: Path) -> None:
    lines: list[dict[str, Any]] = []
    inbox, state = delivered(config, "brick"), State(settings.load(config).state.url)
    done = Record("20261123T120000Z-aa", "brick", "realtime-sync", "done", 0)
    runners = {shop: runner(config, shop, lines.append, Runs(done)) for shop in ("acme", "brick")}
    runners["brick"].rests_until, ran = 0.0, threading.Event()
    runners["brick"].report = lambda line: (lines.append(dict(line)), inbox.cover("brick", [1], "r"), ran.set())[0]

    scheduler = embedded._scheduler(runners, [], state, inbox)
    scheduler.start()
    assert ran.wait(10)
    scheduler.shutdown()

    assert [line["shop"] for line in lines] == ["brick"]
