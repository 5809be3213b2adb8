"""Levels by the ids of their items: few calls for few levels, as many at once as Shopify's bucket allows."""

import re
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import polars as pl

from invsync.shopify.client import Client, Node, operation
from invsync.shopify.gids import ITEM, LOCATION, number
from invsync.shopify.pacing import MOST_AT_ONCE
from invsync.shopify.retry import TooCostly

NODES_LIMIT = 250
LEVELS_LIMIT = 1_000
QUANTITIES = ("available", "committed", "reserved", "damaged", "quality_control", "safety_stock")
STAMPED = ("on_hand", "committed", "available")
Chunk = tuple[list[int], list[int]]  # items and locations
Row = dict[str, object]


class LevelNodes:
    """A read of levels by the ids of their items: a row for each item, and one for each level.

    Items that are `known` are not described again. A call that Shopify finds too costly is halved, and so are the
    larger ones after it; until one has been answered they are sent one by one.
    """

    def __init__(self, client: Client, asked: pl.DataFrame, known: frozenset[int]) -> None:
        self.items: list[Row] = []
        self.levels: list[Row] = []
        self._client, self._known = client, known
        self._todo, self._limit, self._fits = deque(chunks(asked, LEVELS_LIMIT)), LEVELS_LIMIT, False

    def read_first(self) -> None:
        """Read a first part, after which it is known what the others cost."""
        while self._todo and not self._fits:
            self._read([self._todo.popleft()])

    def seconds_left(self) -> float:
        """Return how long the rest takes at Shopify's limits, in seconds."""
        if not self._todo:
            return 0.0
        return self._client.seconds(levels_text(len(self._todo[0][1])), len(self._todo))

    def read_rest(self) -> None:
        """Read the rest."""
        self.read_first()
        while self._todo:
            batch, self._todo = [*self._todo], deque()
            self._read(batch)

    def _read(self, batch: list[Chunk]) -> None:
        costly: list[Chunk] = []
        for (ids, places), nodes in self._answers(batch):
            if nodes is None:
                costly.append((ids, places))
            self.items += [_item(node) for node in nodes or () if node]
            self.levels += [row for node in nodes or () if node for row in _levels_of(node, places)]
        self._fits = not costly
        for ids, places in costly:
            self._limit = min(self._limit, max(len(ids) * len(places) // 2, len(places)))
        self._todo = deque(part for chunk in (*costly, *self._todo) for part in _parts(chunk, self._limit))

    def _answers(self, batch: list[Chunk]) -> Iterator[tuple[Chunk, list[Node | None] | None]]:
        """Yield each chunk with its nodes, which are None where it is too costly."""
        if len(batch) == 1:
            yield batch[0], self._nodes(*batch[0])
            return
        calls: dict[Future[list[Node | None] | None], Chunk] = {}
        with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
            for chunk in batch:
                while len(calls) >= self._client.at_once(levels_text(len(chunk[1]))):
                    yield from _answered(calls)
                calls[pool.submit(self._nodes, *chunk)] = chunk
            while calls:
                yield from _answered(calls)

    def _nodes(self, ids: list[int], places: list[int]) -> list[Node | None] | None:
        variables = levels_variables(ids, places, products=not self._known.issuperset(ids))
        try:
            return list(self._client.data("levels", variables, text=levels_text(len(places)))["nodes"])
        except TooCostly:
            if len(ids) == 1:
                raise
            return None


def _answered(
    calls: dict[Future[list[Node | None] | None], Chunk],
) -> Iterator[tuple[Chunk, list[Node | None] | None]]:
    """Yield what has been answered, once something has, and take it from the calls."""
    for future in wait(calls, return_when=FIRST_COMPLETED).done:
        yield calls.pop(future), future.result()


def _parts(chunk: Chunk, limit: int) -> Iterator[Chunk]:
    ids, places = chunk
    if len(ids) > 1 and len(ids) * len(places) > limit:
        middle = (len(ids) + 1) // 2
        yield from _parts((ids[:middle], places), limit)
        yield from _parts((ids[middle:], places), limit)
    else:
        yield chunk


def chunks(asked: pl.DataFrame, limit: int = LEVELS_LIMIT) -> Iterator[Chunk]:
    """Yield items and the locations asked for any of them: at most 250 items, and items times locations <= limit."""
    places = asked.group_by("inventory_item_id").agg(pl.col("location_id").unique().sort()).rows()
    ids: list[int] = []
    union: set[int] = set()
    for item, own in sorted(places, key=lambda row: (row[1], row[0])):
        wider = union | set(own)
        if ids and (len(ids) == NODES_LIMIT or (len(ids) + 1) * len(wider) > limit):
            yield ids, sorted(union)
            ids, wider = [], set(own)
        ids, union = [*ids, item], wider
    if ids:
        yield ids, sorted(union)


def levels_variables(ids: list[int], places: list[int], *, products: bool = False) -> Node:
    """The variables of operations/levels.graphql for these items and locations, with or without the items' products."""
    locations = {f"location{i}": f"{LOCATION}{place}" for i, place in enumerate(places)}
    return {"ids": [f"{ITEM}{item}" for item in ids], "products": products} | locations


def levels_text(places: int) -> str:
    """Return operations/levels.graphql with this many locations in place of its one."""
    text = operation("levels")
    variables = ", ".join(f"$location{i}: ID!" for i in range(places))
    (line,) = re.findall(r"^ *level0: .*\n", text, flags=re.MULTILINE)
    aliases = "".join(re.sub(r"(level|location)0", rf"\g<1>{i}", line) for i in range(places))
    return text.replace("$location0: ID!", variables).replace(line, aliases)


def _item(node: Node) -> Row:
    return {
        "inventory_item_id": number(node["id"]),
        "tracked": node["tracked"],
        "sku": node["sku"],
        "variant": node.get("variant"),
    }


def _levels_of(node: Node, places: list[int]) -> Iterator[Row]:
    for i, place in enumerate(places):
        if level := node[f"level{i}"]:
            quantities = {quantity["name"]: quantity for quantity in level["quantities"]}
            yield {
                "inventory_item_id": number(node["id"]),
                "location_id": place,
                "is_active": level["isActive"],
                **{name: quantities[name]["quantity"] for name in QUANTITIES if name in quantities},
                **{f"{name}_at": quantities[name]["updatedAt"] for name in STAMPED if name in quantities},
            }
