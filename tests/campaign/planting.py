"""A system whose every secret is planted, and servers that repeat what they are told."""

import json
import os
import signal
import subprocess
import sys
import urllib.parse
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from live import free_port
from receivers import Collector, Received, collecting, receiving
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from invsync.sandbox import hotwax
from invsync.sandbox.oms import Oms
from invsync.sandbox.server import create_app, hosting
from invsync.sandbox.shop import Shop

ROOT = Path(__file__).parents[2]
ONLINE, START = 7, datetime(2026, 3, 2, 12, tzinfo=UTC)
PLANTED = {
    "ACCESS_TOKEN": 'planted-access"token\\&<01>/+=',
    "APP_SECRET": "planted-app/secret+&=23",
    "FETCHED_TOKEN": "planted-fetched-token-45",
    "HOOK_SECRET": "planted-hook-secret-67",
    "HOOK_SECRET_PREVIOUS": "planted-hook-secret-before-89",
    "HOTWAX_PASSWORD": 'planted "hotwax" p\u00e4ssword 10',
    "HOTWAX_LOGIN_TOKEN": "planted-hotwax-login-token-11",
    "HOTWAX_TOKEN": "planted.hotwax.jwt-12",
    "OMS_URL_PASSWORD": "planted/oms&url-13",
    "MYSQL_PASSWORD": "planted@mysql:14",
    "STATE_PASSWORD": "planted/state&15",
    "PAGER_TOKEN": "planted-pager-token-16",
    "NTFY_TOPIC": "planted-ntfy-topic-17",
    "OTLP_TOKEN": "planted-otlp-token-18",
    "STORAGE_PASSWORD": "planted-storage-19",
    "INVSYNC_DEMO_TOKEN": "planted-demo-token-20",
}
KEYRING = "HOTWAX_PASSWORD"  # which is in the keyring; APP_SECRET and HOTWAX_TOKEN are in files
IN_FILES = ("APP_SECRET", "HOTWAX_TOKEN")
CONFIG = """\
[reports]
path = "reports"
[alerts]
url_env = "ALERT_ADDRESSES"
[telemetry]
logs = "{logs}"
metrics = true
otlp_endpoint = "{collector}"
otlp_headers_env = "OTLP_HEADERS"
[shops.token]
domain = "demo.myshopify.com"
endpoint = "{shopify}"
token_env = "ACCESS_TOKEN"
webhook_secret_env = "HOOK_SECRET"
webhook_url = "http://127.0.0.1:9/hooks"
[shops.token.oms]
url_env = "OMS_URL"
shop_id = "SANDBOX"
facility_group_id = "FAC_GRP"
[shops.app]
domain = "app.myshopify.com"
endpoint = "{shopify_of_app}"
client_id = "sandbox"
client_secret_env = "APP_SECRET"
[shops.app.oms]
kind = "rest"
url = "{hotwax}"
ofbiz_url = "{hotwax}"
username = "sync"
password_env = "HOTWAX_PASSWORD"
shop_id = "SANDBOX"
facility_group_id = "FAC_GRP"
[shops.jwt]
domain = "demo.myshopify.com"
endpoint = "{shopify}"
token_env = "ACCESS_TOKEN"
[shops.jwt.oms]
kind = "rest"
url = "{hotwax_of_jwt}"
ofbiz_url = "{hotwax_of_jwt}"
token_env = "HOTWAX_TOKEN"
shop_id = "SANDBOX"
facility_group_id = "FAC_GRP"
[shops.mysql]
domain = "demo.myshopify.com"
endpoint = "{shopify}"
token_env = "ACCESS_TOKEN"
[shops.mysql.oms]
url_env = "MYSQL_URL"
shop_id = "SANDBOX"
facility_group_id = "FAC_GRP"
"""


class Instance(hotwax.HotWax):
    """A HotWax whose only token is planted, whether by a login or for long."""

    def __init__(self, url: str, token: str) -> None:
        self._token = token
        super().__init__(url, PLANTED["HOTWAX_PASSWORD"])

    @property
    def token(self) -> str:
        return self._token

    @token.setter
    def token(self, _: str) -> None: ...


def quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")


@dataclass
class Echo:
    """Stands before a server and, in a mode, answers with all that the request said."""

    app: ASGIApp
    mode: str = ""
    echoes: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self.mode or scope["type"] != "http":
            return await self.app(scope, receive, send)
        request = Request(scope, receive)
        body = (await request.body()).decode(errors="replace")
        text = f"{dict(request.headers)} {urllib.parse.unquote_plus(body)}"
        self.echoes += "planted" in text
        await self.answer(text)(scope, receive, send)

    def answer(self, text: str) -> Response:
        if self.mode == "redirect":
            return Response("", 302, {"Location": f"http://127.0.0.1:9/?token={quoted(text)}"})
        if self.mode == "bad json":
            return Response(f'{{"data": "{text}', media_type="application/json")
        if self.mode == "refusal":
            return Response(json.dumps({"errors": text, "error": text}), 401, media_type="application/json")
        return Response(text, 500)


@dataclass
class System:
    """The servers, the folder in which everything runs, and what was printed."""

    folder: Path
    secrets: Path
    shop: Shop
    shopify: tuple[Echo, ...]
    hotwax: Echo
    collector: Collector
    pager: Received
    printed: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        files = {f"{name}_FILE": str(self.secrets / name) for name in IN_FILES}
        kept = {name: PLANTED[name] for name in ("ACCESS_TOKEN", "HOOK_SECRET", "HOOK_SECRET_PREVIOUS")}
        oms, state = quoted(PLANTED["OMS_URL_PASSWORD"]), quoted(PLANTED["STATE_PASSWORD"])
        return {
            **{name: value for name, value in os.environ.items() if name != "INVSYNC_RUN"},
            **files,
            **kept,
            "OMS_URL": f"sqlite:///file:{self.folder}/oms.db?uri=true&password={oms}",
            "MYSQL_URL": f"mysql+pymysql://sync:{quoted(PLANTED['MYSQL_PASSWORD'])}@127.0.0.1:{free_port()}/oms",
            "INVSYNC_STATE__URL": f"sqlite:///file:{self.folder}/invsync.db?uri=true&password={state}",
            "ALERT_ADDRESSES": f"{self.pager.address}/hooks?token={PLANTED['PAGER_TOKEN']}"
            f" ntfy://127.0.0.1:9/{PLANTED['NTFY_TOPIC']}",
            "OTLP_HEADERS": f"Authorization=Bearer {PLANTED['OTLP_TOKEN']}",
            "INVSYNC_DEMO_TOKEN": PLANTED["INVSYNC_DEMO_TOKEN"],
            "PLANTED_KEYRING": f"{KEYRING}={PLANTED[KEYRING]}",
            "PYTHON_KEYRING_BACKEND": "planted_keyring.Keyring",
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "planted"), str(ROOT)]),
        }

    def call(self, *words: str, codes: tuple[int, ...] = (0,), program: str = "invsync.cli", **variables: str) -> str:
        """Run a command to its end, and return what it printed on standard output."""
        done = subprocess.run(
            [sys.executable, "-m", program, *words],
            capture_output=True,
            text=True,
            timeout=600,
            cwd=self.folder,
            env=self.environment | variables,
        )
        number = len(self.printed)
        self.printed[f"{number} {' '.join(words)} {variables}"] = done.stdout + done.stderr
        assert done.returncode in codes, (words, variables, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def run(self, job: str, shop: str, *more: str, codes: tuple[int, ...] = (0,), **variables: str) -> str:
        """Run a job, and return its run's id."""
        out = self.call("run", job, "--shop", shop, "--json", *more, codes=codes, **variables)
        return str(json.loads(out.splitlines()[-1])["run_id"]) if out else ""

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "invsync.cli", *words]
        output = (self.folder / f"{words[0]}-{words[1]}.log").open("w")
        return subprocess.Popen(command, stdout=output, stderr=output, text=True, cwd=self.folder, env=self.environment)


def end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(120)


def system(folder: Path, stack: ExitStack) -> System:
    """Servers for a warehouse of three products, one of which is wrong at Shopify, and a configuration of four shops."""
    work, secrets = folder / "work", folder / "secrets"
    work.mkdir()
    secrets.mkdir()
    for name in IN_FILES:
        (secrets / name).write_text(PLANTED[name])
        (secrets / name).chmod(0o600)
    oms = stack.enter_context(_closing(Oms(f"sqlite:///{work}/oms.db").create()))
    oms.add_facility("WH", "Warehouse")
    oms.map_location("_NA_", ONLINE)
    shops = [_shop(oms, PLANTED[name]) for name in ("ACCESS_TOKEN", "FETCHED_TOKEN")]
    shopify = tuple(Echo(create_app(shop)) for shop in shops)
    apis = Echo(hotwax.create_app(Instance(oms.url, PLANTED["HOTWAX_LOGIN_TOKEN"])))
    apis_of_jwt = hotwax.create_app(Instance(oms.url, PLANTED["HOTWAX_TOKEN"]))
    collector, pager = stack.enter_context(collecting()), stack.enter_context(receiving())
    addresses = {
        "shopify": stack.enter_context(hosting(shopify[0], date_header=False)),
        "shopify_of_app": stack.enter_context(hosting(shopify[1], date_header=False)),
        "hotwax": stack.enter_context(hosting(apis)),
        "hotwax_of_jwt": stack.enter_context(hosting(apis_of_jwt)),
        "collector": collector.address,
        "logs": "text",
    }
    (work / "invsync.toml").write_text(CONFIG.format(**addresses))
    return System(work, secrets, shops[0], shopify, apis, collector, pager)


def _shop(oms: Oms, token: str) -> Shop:
    shop = Shop(token=token, client_secret=PLANTED["APP_SECRET"])
    shop.add_location(ONLINE, "Online")
    for item in (1, 2, 3):
        if token == PLANTED["ACCESS_TOKEN"]:
            oms.add_product(f"P{item}", f"S{item}")
            oms.map_product(f"P{item}", item)
            oms.set_stock(f"P{item}", "WH", 10, START)
        shop.add_item(item, f"S{item}")
        shop.set_level(item, ONLINE, 10 if item > 1 else 7)
    return shop


class _closing:
    def __init__(self, oms: Oms) -> None:
        self._oms = oms

    def __enter__(self) -> Oms:
        return self._oms

    def __exit__(self, *_: object) -> None:
        self._oms.close()
