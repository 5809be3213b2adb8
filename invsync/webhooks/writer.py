"""Write deliveries to the inbox before they are answered, those that wait at one time in one transaction."""

import asyncio
import queue
import threading
import time

from sqlalchemy.exc import SQLAlchemyError

from invsync.errors import InvsyncError, SystemFailed
from invsync.inbox import Heard, Inbox

MAX_BATCH, BATCH_SECONDS = 1000, 0.01
Waiting = tuple[Heard, "asyncio.Future[bool]"]


class Writer:
    """A thread that commits deliveries to the inbox in batches."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox, self._queue = inbox, queue.Queue[Waiting | None](10 * MAX_BATCH)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Commit what waits, and end the thread."""
        self._queue.put(None)
        self._thread.join()

    async def add(self, delivery: Heard) -> bool:
        """Return whether this delivery is new, once it is on disk.

        Raises SystemFailed where too many deliveries wait or the database fails.
        """
        is_new: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((delivery, is_new))
        except queue.Full:
            raise SystemFailed("Too many deliveries wait for the state database: look at its disk.") from None
        return await is_new

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            time.sleep(BATCH_SECONDS)
            batch: list[Waiting] = [first]
            ended = False
            while not ended and len(batch) < MAX_BATCH and not self._queue.empty():
                another = self._queue.get()
                ended = another is None
                batch += [another] if another else []
            self._commit(batch)
            if ended:
                return

    def _commit(self, batch: list[Waiting]) -> None:
        try:
            new = self._inbox.add([delivery for delivery, _ in batch])
        except (InvsyncError, SQLAlchemyError) as error:
            failed = f"The state database failed ({type(error).__name__}): look at [state] url."
            fault = SystemFailed(str(error) if isinstance(error, InvsyncError) else failed)
            for _, future in batch:
                future.get_loop().call_soon_threadsafe(_fail, future, fault)
            return
        for delivery, future in batch:
            future.get_loop().call_soon_threadsafe(_resolve, future, delivery.delivery in new)
            new.discard(delivery.delivery)


def _resolve(future: "asyncio.Future[bool]", is_new: bool) -> None:
    if not future.done():
        future.set_result(is_new)


def _fail(future: "asyncio.Future[bool]", fault: SystemFailed) -> None:
    if not future.done():
        future.set_exception(fault)
