"""Durable before it is answered, and still fast: whoever waits goes into one transaction together."""

import asyncio
import queue
import threading
import time

from sqlalchemy.exc import SQLAlchemyError

from invsync.errors import InvsyncError, SystemFailed
from invsync.inbox import Heard, Inbox

MOST_AT_ONCE, GATHER_SECONDS = 1000, 0.01
Waiting = tuple[Heard, "asyncio.Future[bool]"]


class Writer:
    """One thread that commits deliveries to the inbox in groups."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox, self._queue = inbox, queue.Queue[Waiting | None](10 * MOST_AT_ONCE)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Commit what waits, and end."""
        self._queue.put(None)
        self._thread.join()

    async def add(self, heard: Heard) -> bool:
        """Whether this delivery is new, once it is on disk; too many that wait, or a lost database, raise."""
        is_new: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((heard, is_new))
        except queue.Full:
            raise SystemFailed("Too many deliveries wait for the state database: look at its disk.") from None
        return await is_new

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            time.sleep(GATHER_SECONDS)
            group: list[Waiting] = [first]
            ended = False
            while not ended and len(group) < MOST_AT_ONCE and not self._queue.empty():
                more = self._queue.get()
                ended = more is None
                group += [more] if more else []
            self._commit(group)
            if ended:
                return

    def _commit(self, group: list[Waiting]) -> None:
        try:
            new = self._inbox.add([heard for heard, _ in group])
        except (InvsyncError, SQLAlchemyError) as error:
            failed = f"The state database failed ({type(error).__name__}): look at [state] url."
            fault = SystemFailed(str(error) if isinstance(error, InvsyncError) else failed)
            for _, future in group:
                future.get_loop().call_soon_threadsafe(_fail, future, fault)
            return
        for heard, future in group:
            future.get_loop().call_soon_threadsafe(_resolve, future, heard.delivery in new)
            new.discard(heard.delivery)


def _resolve(future: "asyncio.Future[bool]", is_new: bool) -> None:
    if not future.done():
        future.set_result(is_new)


def _fail(future: "asyncio.Future[bool]", fault: SystemFailed) -> None:
    if not future.done():
        future.set_exception(fault)
