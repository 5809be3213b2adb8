"""The receiver: check a delivery, record it, and answer."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from invsync.config.settings import ShopSettings
from invsync.errors import SystemFailed
from invsync.inbox import Heard, Inbox
from invsync.webhooks import hints
from invsync.webhooks.writer import Writer

MAX_BODY = 1 << 20  # bytes
BODY_SECONDS = 5
SIGNATURE = "-hmac-sha256"
Read = Callable[[str, Mapping[str, str], bytes], Heard]


class TooLarge(Exception):
    """A body has more than `MAX_BODY` bytes."""


def create_app(name: str, shop: ShopSettings, secrets: Sequence[str], inbox: Inbox) -> Starlette:
    """Return the application that receives the deliveries of one shop, signed by any of these secrets."""
    writer = Writer(inbox)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        writer.start()
        yield
        await run_in_threadpool(writer.stop)

    def route(path: str, read: Read) -> Route:
        async def receive(request: Request) -> Response:
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    body = await _body(request)
            except TooLarge:
                return _refused(413, f"the body is larger than {MAX_BODY} bytes")
            except (TimeoutError, ClientDisconnect):
                return _refused(408, "the body did not come in time")
            if not hints.is_signed(body, _signature(request), secrets):
                return _refused(401, "the signature is missing or wrong")
            if not _is_for(shop.domain, request):
                return _refused(401, f"the delivery is not of {shop.domain}")
            try:
                new = await writer.add(read(name, request.headers, body))
            except ValueError as error:
                return _refused(400, str(error))
            except SystemFailed as error:
                return _refused(503, str(error))
            return JSONResponse({"status": "accepted" if new else "duplicate"})

        return Route(path, receive, methods=["POST"])

    async def health(_: Request) -> Response:
        waiting = await run_in_threadpool(inbox.count, name)
        return JSONResponse({"status": "ok", "shop": name, "waiting": waiting})

    routes = [route("/webhooks/shopify", hints.shopify), route("/webhooks/oms", hints.oms), Route("/healthz", health)]
    return Starlette(routes=routes, lifespan=lifespan)


async def _body(request: Request) -> bytes:
    """The raw body; raises TooLarge as soon as it is too large."""
    if int(request.headers.get("content-length") or 0) > MAX_BODY:
        raise TooLarge
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise TooLarge
        parts.append(part)
    return b"".join(parts)


def _signature(request: Request) -> str:
    """The value of the header that ends in -Hmac-Sha256: X-Shopify-… from Shopify, X-Invsync-… from an OMS."""
    return next((value for name, value in request.headers.items() if name.endswith(SIGNATURE)), "")


def _is_for(domain: str, request: Request) -> bool:
    """Whether the delivery names the shop of this domain; an OMS need not name any."""
    sender = request.headers.get("x-shopify-shop-domain", "" if request.url.path.endswith("/shopify") else domain)
    return sender.lower() == domain.lower()


def _refused(status: int, why: str) -> Response:
    """An answer that says why; the connection ends with it where the body was not read."""
    headers = {"Connection": "close"} if status in (408, 413) else None
    return JSONResponse({"status": "refused", "why": why}, status, headers)
