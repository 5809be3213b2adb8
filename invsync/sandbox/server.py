"""Serve a shop, or another application, on 127.0.0.1 while a block lasts."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import uvicorn
from starlette.types import ASGIApp

from invsync.sandbox.app import create_app
from invsync.sandbox.shop import Shop


def serve(shop: Shop, port: int = 0) -> AbstractContextManager[str]:
    """Serve the shop in a thread on 127.0.0.1 and yield its base address; port 0 takes a free one.

    The Date of a response is the shop's own time.
    """
    return hosting(create_app(shop), port, date_header=False)


@contextmanager
def hosting(app: ASGIApp, port: int = 0, *, date_header: bool = True) -> Iterator[str]:
    """Serve an application in a thread on 127.0.0.1 and yield its base address; port 0 takes a free one.

    Raises a RuntimeError if the application does not start.
    """
    listener = socket.socket(
        socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )  # without Nagle, so that responses leave at once
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    config = uvicorn.Config(
        app, log_level="error", lifespan="off", ws="none", access_log=False, date_header=date_header
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError(f"The sandbox could not start on port {port}: choose another port.")
            time.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=5)
        listener.close()
