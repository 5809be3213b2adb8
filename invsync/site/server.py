"""The reports on a laptop: the folder over HTTP on loopback, as a bucket would serve it."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.1"


class Fresh(SimpleHTTPRequestHandler):
    """Serves files without a word in the log, and has the browser ask for each again."""

    def end_headers(self) -> None:
        """Close the headers with one that forbids to keep the answer unasked."""
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def server(root: Path, port: int) -> ThreadingHTTPServer:
    """A server of this folder on loopback, not yet started; port 0 takes any free one."""
    return ThreadingHTTPServer((LOOPBACK, port), partial(Fresh, directory=str(root)))
