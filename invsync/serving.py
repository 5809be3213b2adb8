"""Serve an application over HTTP, with limits on how much and how slowly a client may send."""

import asyncio

import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

MAX_HEAD = 32 << 10  # bytes of a request line and its headers; Shopify sends 2 KiB
HEAD_SECONDS = 10.0
MAX_CONNECTIONS = 1000
SHUTDOWN_SECONDS = 10


class Guarded(AutoHTTPProtocol):  # type: ignore[valid-type, misc]  # uvicorn's parser, whichever is installed
    """A connection that is closed while its next request is too long or too slow to begin.

    Uvicorn limits neither by itself. What a client still sends of a body that was refused counts as a next request.
    """

    _deadline: asyncio.TimerHandle | None = None
    _received = 0  # bytes since the last request was complete up to its headers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock of the first request."""
        super().connection_made(transport)
        self._start()

    def data_received(self, data: bytes) -> None:
        """Take what the client sent; close the connection where too much came without a request."""
        before = self.cycle
        is_waiting = before is None or before.response_complete
        if is_waiting:
            self._received += len(data)
            self._start()
        super().data_received(data)
        if self.cycle is not before:
            self._stop()
        elif is_waiting and self._received > MAX_HEAD:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Stop the clock."""
        self._stop()
        super().connection_lost(error)

    def _start(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._expire)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline, self._received = None, 0

    def _expire(self) -> None:
        self.transport.close()


def limited(app: ASGIApp) -> ASGIApp:
    """Return the application, which refuses headers that are too large, and two that disagree on the body's length."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        refused = _refusal(scope) if scope["type"] == "http" else None
        await (refused or app)(scope, receive, send)

    return answer


def _refusal(scope: Scope) -> PlainTextResponse | None:
    size = sum(len(name) + len(value) for name, value in scope["headers"])
    size += len(scope.get("raw_path") or b"") + len(scope["query_string"])
    if size > MAX_HEAD:
        return PlainTextResponse("the headers are too large", 431, {"Connection": "close"})
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}:
        return PlainTextResponse("the length of the body is given twice", 400, {"Connection": "close"})
    return None


def configured(app: ASGIApp, *, host: str, port: int) -> uvicorn.Config:
    """Return how uvicorn serves this application: guarded, quiet, without websockets."""
    return uvicorn.Config(
        limited(app),
        host=host,
        port=port,
        http=Guarded,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=MAX_HEAD,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def run(app: ASGIApp, *, host: str, port: int) -> None:
    """Serve until SIGTERM; requests under way are answered first."""
    uvicorn.Server(configured(app, host=host, port=port)).run()
