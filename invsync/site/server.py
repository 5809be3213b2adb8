"""The reports on a laptop: the folder over HTTP on loopback, as a bucket would serve it."""

import threading
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from invsync import logs
from invsync.errors import InvsyncError

LOOPBACK = "127.0.0.1"
HOSTS = {LOOPBACK, "localhost", "::1"}
HEADERS = {
    "Cache-Control": "no-cache",  # the browser asks for each file again
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


class Guarded(SimpleHTTPRequestHandler):
    """Serves the files of one folder, and nothing else, to a browser that asks for this machine by name.

    A page elsewhere that has its own name lead to 127.0.0.1 is refused, and so is a link that leads out of the folder.
    """

    timeout = 30  # seconds for which a client may keep a thread waiting
    server_version, sys_version = "invsync", ""

    def do_GET(self) -> None:
        """Answer with the file."""
        if self._is_welcome():
            super().do_GET()

    def do_HEAD(self) -> None:
        """Answer with the headers of the file."""
        if self._is_welcome():
            super().do_HEAD()

    def _is_welcome(self) -> bool:
        """Whether the request may be answered; it has its refusal where not."""
        if _host(self.headers.get("Host", "")) not in HOSTS:
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "ask for 127.0.0.1 or localhost")
            return False
        file, root = Path(self.translate_path(self.path)), Path(self.directory).resolve()
        if not _is_inside(file, root):
            self.send_error(HTTPStatus.NOT_FOUND)
            return False
        return True

    def list_directory(self, path: str | PathLike[str]) -> BytesIO | None:
        """Refuse to list a folder that has no page."""
        self.send_error(HTTPStatus.NOT_FOUND)
        return None

    def end_headers(self) -> None:
        """Close the headers with those that every answer has."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _host(header: str) -> str | None:
    """The host of a Host header, without its port."""
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:
        return None


def _is_inside(file: Path, root: Path) -> bool:
    """Whether a file is below the folder when every link is followed."""
    try:
        return file.resolve().is_relative_to(root)
    except (OSError, ValueError):  # a name that no file can have
        return False


def server(root: Path, port: int, host: str = LOOPBACK) -> ThreadingHTTPServer:
    """A server of this folder, not yet started; port 0 takes any free one.

    On an address other than loopback it still answers only to this machine's names: in a container, whose port is
    published on the loopback of the machine.
    """
    return ThreadingHTTPServer((host, port), partial(Guarded, directory=str(root)))


def repeat(action: Callable[[], object], seconds: float) -> threading.Event:
    """Call this in the background, with so many seconds between, and say where it fails.

    Returns the event that ends it, as the end of the process does.
    """
    stop = threading.Event()

    def call() -> None:
        while not stop.wait(seconds):
            try:
                action()
            except (InvsyncError, OSError) as error:
                logs.warn(str(error))

    threading.Thread(target=call, daemon=True).start()
    return stop
