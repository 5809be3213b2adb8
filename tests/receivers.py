"""Servers on loopback that keep what they are sent: a mail server, an HTTP receiver and an OTLP collector."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

import pytest
from aiosmtpd.controller import Controller
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from invsync.sandbox.server import hosting

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7/#stock"


@dataclass
class Received:
    """Requests that an HTTP receiver took: path and body."""

    address: str
    requests: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, body in self.requests]


@contextmanager
def receiving(status: int = 200, answer: str = '{"ok": true}') -> Iterator[Received]:
    """An HTTP receiver that gives every request the same answer."""
    received = Received("")

    async def take(request: Request) -> Response:
        received.requests.append((request.url.path, await request.body()))
        return Response(answer, status)

    with hosting(Starlette(routes=[Route("/{path:path}", take, methods=["POST", "PUT"])])) as address:
        received.address = address
        yield received


class Mailbox:
    """A mail server's handler that keeps what it receives, and the address of alerts that leads to it."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.address = ""

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:
        self.mails.append(cast("EmailMessage", message_from_bytes(envelope.content, policy=policy.default)))
        return "250 OK"


@contextmanager
def mailing() -> Iterator[Mailbox]:
    """A mail server."""
    mailbox = Mailbox()
    server = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    server.start()
    mailbox.address = f"mailto://127.0.0.1:{server.port}?from=invsync@example.com&to=stock@example.com"
    yield mailbox
    server.stop()


@contextmanager
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    """A receiver to which Apprise's messages for Slack go."""
    with receiving(answer="ok") as received:
        monkeypatch.setattr("apprise.plugins.slack.NotifySlack.webhook_url", f"{received.address}/services")
        yield received


def text_of(mail: EmailMessage) -> str:
    """The body of a mail."""
    part = mail.get_body(("plain", "html"))
    return str(part.get_content()) if part else ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Collector:
    """An OTLP receiver."""

    def __init__(self) -> None:
        self.address, self.authorized = "", set[str]()
        self.traces: list[ExportTraceServiceRequest] = []
        self.metrics: list[ExportMetricsServiceRequest] = []

    async def take(self, request: Request) -> Response:
        self.authorized.add(request.headers.get("authorization", ""))
        body = await request.body()
        if request.url.path.endswith("traces"):
            self.traces.append(ExportTraceServiceRequest.FromString(body))
        else:
            self.metrics.append(ExportMetricsServiceRequest.FromString(body))
        return Response(media_type="application/x-protobuf")


@contextmanager
def collecting() -> Iterator[Collector]:
    """An OTLP collector over HTTP."""
    collector = Collector()
    with hosting(Starlette(routes=[Route("/v1/{kind}", collector.take, methods=["POST"])])) as address:
        collector.address = address
        yield collector
