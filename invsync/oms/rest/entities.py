"""Read the rows of an entity over HTTP, from Moqui, or from OFBiz where Moqui does not have it.

A response is never trusted to be complete: its rows are counted against the total, a filter is checked against the rows
that came back, and pages are read until one adds nothing.
"""

import itertools
import re
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from invsync.errors import OmsFailed
from invsync.oms.rest.connector import RestSettings
from invsync.oms.rest.endpoints import Endpoint, Endpoints, Filter, NoSuchAddress, Page, Unknown
from invsync.oms.rest.envelopes import JsonRow, camel
from invsync.oms.sql.statements import COLUMNS, OPTIONAL, QUANTITIES
from invsync.oms.sql.values import Value, stamp, text
from invsync.retry import TRIES

TIMEOUT = 60.0
CHUNK = 100
KEYS = {
    "facility_group_member": 3,
    "product_store_facility": 3,
    "shopify_shop_product": 3,
    "enumeration_group_member": 3,
    "product_facility": 2,
    "shopify_shop_location": 2,
    "order_item": 2,
    "order_item_ship_group": 2,
    "inventory_item_detail": 2,
    "inventory_item_variance": 2,
    "shopify_shop_remote": 2,
    "shopify_shop_order": 2,
    "order_item_ship_grp_inv_res": 4,
}
MILLISECONDS = re.compile("[0-9]{9,15}")
Row = tuple[Value, ...]
Rows = dict[Row, Row]  # by key
Since = tuple[str, datetime | None]


class Api:
    """Tables over HTTP; OFBiz is asked for what Moqui does not have."""

    def __init__(self, client: httpx.Client, oms: RestSettings, tries: int = TRIES) -> None:
        self.endpoints, self.size, self.timezone = Endpoints(client, oms, tries), oms.page_size, oms.timezone
        self._endpoint: dict[str, Endpoint] = {}
        self._most = oms.at_once
        self._pool, self._pagers = ThreadPoolExecutor(oms.at_once), ThreadPoolExecutor(oms.at_once)
        self._dates: dict[tuple[str, str], bool] = {}

    def close(self) -> None:
        """Close the connections."""
        for pool in (self._pool, self._pagers):
            pool.shutdown(cancel_futures=True)
        self.endpoints.client.close()

    def read(self, name: str, *filters: Filter, wanted: Collection[Row] = ()) -> Rows:
        """Return all rows of a table, in the columns of COLUMNS; raises OmsFailed where the response is short.

        No page is requested after the one that completes the rows with the `wanted` keys, or with the values of a filter
        on the whole key.
        """
        rows: Rows = {}
        keys, whole = set(wanted) or self._keys(name, filters), 0
        for page, total in self._pages(name, filters):
            before, whole = len(rows), max(whole, total or 0)
            rows |= self._rows(name, page, filters)
            if keys and keys <= rows.keys():
                return rows
            if len(rows) == before or (total and len(page) < self.size and len(rows) >= whole):
                break
        if len(rows) < whole or (page and total is None):
            raise OmsFailed(f"HotWax's answer for {name} is short ({len(rows)} of {whole or 'more'} rows): run again.")
        return rows

    def _keys(self, name: str, filters: Sequence[Filter]) -> set[Row]:
        """Return the keys that the filters name, where one of them is on the whole key: no other row can come."""
        if KEYS.get(name, 1) > 1:
            return set()
        key = COLUMNS[name].split()[0]
        return {(value,) for condition in filters if condition.column == key for value in condition.among or ()}

    def _pages(self, name: str, filters: Sequence[Filter]) -> Iterator[Page]:
        """Yield the pages in order; after a full one the next are requested ahead."""
        first = self.page(name, filters, 0)
        yield first
        ahead = self._most if len(first[0]) >= self.size else 1
        numbers, requested = itertools.count(1), deque[Future[Page]]()
        try:
            while True:
                while len(requested) < ahead:
                    requested.append(self._pagers.submit(self.page, name, filters, next(numbers)))
                yield requested.popleft().result()
        finally:
            for page in requested:
                page.cancel()

    def at_once(self, **asks: Callable[[], Rows]) -> dict[str, Rows]:
        """Make independent reads concurrently, and return their rows by name."""
        answers = {name: self._pool.submit(ask) for name, ask in asks.items()}
        return {name: answer.result() for name, answer in answers.items()}

    def whole(self, *names: str) -> dict[str, Rows]:
        """Return all rows of these tables, by table."""
        return self.at_once(**{name: partial(self.read, name) for name in names})

    def among(
        self, name: str, column: str, values: Sequence[str], *filters: Filter, since: Since | None = None
    ) -> Rows:
        """Return the rows whose column is among the values, and since then, in concurrent requests of CHUNK values."""
        chunks = [Filter(column, among=values[start : start + CHUNK]) for start in range(0, len(values), CHUNK)]
        if since is not None:
            parts = self._pool.map(lambda chunk: self.since(name, *since, chunk, *filters), chunks)
        else:
            parts = self._pool.map(lambda chunk: self.read(name, chunk, *filters), chunks)
        return {key: row for part in parts for key, row in part.items()}

    def since(self, name: str, column: str, moment: datetime | None, *filters: Filter) -> Rows:
        """Return the rows since a moment, and those without a stamp; all rows where HotWax does not filter by date."""
        if moment is None or not self._filters_dates(name, column):
            return self.read(name, *filters)
        return self.read(name, Filter(column, since=moment), *filters) | self.read(name, Filter(column), *filters)

    def _filters_dates(self, name: str, column: str) -> bool:
        """Whether a row comes back when it is asked for by its own stamp; tried once per column."""
        if (name, column) not in self._dates:
            at, key = COLUMNS[name].split().index(column), COLUMNS[name].split()[0]
            stamped = [row for row in self.newest(name, column).values() if row[at]]
            self._dates[name, column] = bool(stamped) and self._comes_back(name, column, key, stamped[0], at)
        return self._dates[name, column]

    def _comes_back(self, name: str, column: str, key: str, row: Row, at: int) -> bool:
        own, wanted = Filter(column, since=stamp(row[at], UTC)), row[: KEYS.get(name, 1)]
        return wanted in self.read(name, own, Filter(key, among=[str(row[0])]), wanted=[wanted])

    def newest(self, name: str, column: str, *filters: Filter, size: int | None = None) -> Rows:
        """Return one page of rows, the newest first where the server sorts."""
        page, _ = self.page(name, filters, 0, size=size, order=f"-{column}")
        return self._rows(name, page, filters)

    def count(self, name: str, near: int = 0) -> int:
        """Return the number of rows: the total, or else the result of a search that starts at the last count."""
        last = max(near - 1, 0)
        page, total = self.page(name, (), last, size=1)
        if last and not page:
            last = 0
            page, total = self.page(name, (), last, size=1)
        if total is not None or not page:
            return total or 0

        def there(number: int) -> bool:
            return bool(self.page(name, (), number, size=1)[0])

        step = 1
        while there(last + step):
            last, step = last + step, step * 2
        while step := step // 2:
            last += step if there(last + step) else 0
        return last + 1

    def sample(
        self, name: str, columns: Sequence[str], size: int, *filters: Filter, order: str | None = None
    ) -> list[Row] | None:
        """Return one page of any entity's rows in these columns, null for a missing field; None without the entity."""
        for endpoint in self.endpoints.all:
            try:
                page, _ = endpoint(name, filters, 0, size, order or columns[0], columns)
            except (Unknown, NoSuchAddress):
                continue
            return self._values(name, columns, page, filters)
        return None

    def _rows(self, name: str, page: list[JsonRow], filters: Sequence[Filter]) -> Rows:
        rows = self._values(name, COLUMNS[name].split(), page, filters)
        return {row[: KEYS.get(name, 1)]: row for row in rows}

    def _values(self, name: str, columns: Sequence[str], page: list[JsonRow], filters: Sequence[Filter]) -> list[Row]:
        """Return the values of these columns; raises OmsFailed for rows that a filter excludes."""
        fields = [(column, camel(column)) for column in columns]
        rows = [tuple(self._value(column, one.get(field)) for column, field in fields) for one in page]
        for condition in filters:
            at, among = columns.index(condition.column), condition.among
            if among is not None and any(row[at] not in among for row in rows):
                raise OmsFailed(
                    f"HotWax ignores the filter on {camel(condition.column)} of {name}: rows came back that "
                    "were not asked for; read its database, or its files."
                )
        return rows

    def _value(self, column: str, value: Any) -> Value:
        """Return a JSON value as text; a quantity as it is."""
        if value is None or column in QUANTITIES:
            quantity: Value = value
            return quantity
        if not column.endswith(("_stamp", "_date")):
            return text(value)
        if isinstance(value, int) or (isinstance(value, str) and MILLISECONDS.fullmatch(value)):
            value = datetime.fromtimestamp(int(value) / 1000, UTC)
        moment = stamp(value, ZoneInfo(self.timezone))
        return str(value) if moment is None else f"{moment:%Y-%m-%d %H:%M:%S.%f}"

    def page(
        self, name: str, filters: Sequence[Filter], number: int, *, size: int | None = None, order: str = ""
    ) -> Page:
        """Return one page from the endpoint that has the entity, and the total where HotWax gives it."""
        keys = COLUMNS[name].split()[: KEYS.get(name, 1)]
        unknown = False
        for endpoint in [self._endpoint[name]] if name in self._endpoint else self.endpoints.all:
            try:
                page = endpoint(
                    name, filters, number, size or self.size, order or ",".join(keys), COLUMNS[name].split()
                )
            except (Unknown, NoSuchAddress) as error:
                unknown = unknown or isinstance(error, Unknown)
                continue
            self._endpoint[name] = endpoint
            return page
        if unknown and name in OPTIONAL:
            return [], 0
        raise OmsFailed(f"HotWax gives no {name} over HTTP: set ofbiz_url, or read its database or its files.")
