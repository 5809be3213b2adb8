"""A staged upload of 100 MB through the client, to a loopback server in a process of its own."""

import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from invsync.config.settings import ShopSettings
from invsync.oms.files.connector import FilesSettings
from invsync.shopify import bulk
from invsync.shopify.client import Client
from tests.bench.measure import ROOT, Target

BYTES = 100_000_000
FIELDS = {"key": "tmp/adjustments.jsonl", "Content-Type": "text/jsonl", "policy": "e30="}
TARGETS = [Target("invsync, peak in MB", lambda m: m["invsync"].peak, at_most=16)]
Upload = Callable[[Client, str, Path], None]


def prepare(folder: Path, scale: float) -> None:
    """A file of lines."""
    line = b'{"input":{"changes":[]},"idempotencyKey":"' + b"0" * 36 + b'"}\n'
    (folder / "adjustments.jsonl").write_bytes(line * (int(BYTES * scale) // len(line)))


def streamed(client: Client, url: str, path: Path) -> None:
    """As a job does it."""
    bulk.store(client, url, FIELDS, path)


def held(client: Client, url: str, path: Path) -> None:
    """The same call with the file's bytes in memory."""
    client.upload(url, FIELDS, (path.name, path.read_bytes(), "text/jsonl"))


def against_a_server(upload: Upload, folder: Path) -> Callable[[], str]:
    """The digest of the file that the server received."""
    server = subprocess.Popen([sys.executable, "-m", "tests.bench.upload"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    lines, url = server.stdout, server.stdout.readline().strip()
    shop = ShopSettings(domain="bench.myshopify.com", endpoint=url, token_env="TOKEN", oms=FilesSettings(**OMS))
    client = Client.open(shop, secrets={"TOKEN": "shpat_bench"})

    def run() -> str:
        upload(client, url, folder / "adjustments.jsonl")
        return lines.readline().strip()

    return run


OMS = {"kind": "files", "path": "oms", "shop_id": "BENCH"}
VARIANTS = {
    "invsync": lambda folder: against_a_server(streamed, folder),
    "bytes in memory": lambda folder: against_a_server(held, folder),
}


def digest(made: str) -> str:
    """What the server received."""
    return made


class Storage(BaseHTTPRequestHandler):
    """Takes one multipart upload and prints the digest of its file."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read the body in pieces; the file is the last part."""
        left = int(self.headers["Content-Length"])
        boundary = re.findall("boundary=(.+)", self.headers["Content-Type"])[0].encode()
        tail = b"\r\n--" + boundary + b"--\r\n"
        digest, rest, in_file = hashlib.sha256(), b"", False
        while left:
            piece = self.rfile.read(min(left, 1 << 20))
            left, rest = left - len(piece), rest + piece
            if not in_file and (name := rest.find(b'name="file"')) >= 0:
                in_file, rest = True, rest[rest.index(b"\r\n\r\n", name) + 4 :]
            if in_file:
                keep = len(rest) - len(tail)
                digest.update(rest[:keep])
                rest = rest[keep:]
        assert rest == tail
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()
        print(digest.hexdigest(), flush=True)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", 0), Storage)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.handle_request()
