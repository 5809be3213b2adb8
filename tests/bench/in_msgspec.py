"""The peer: a bulk query's answer decoded by msgspec, a line at a time, into the same frame."""

from pathlib import Path

import msgspec
import polars as pl

from invsync.shopify.reads import ITEMS, LEVEL


class Id(msgspec.Struct):
    """Anything with an id."""

    id: str


class Quantity(msgspec.Struct):
    """One quantity of a level."""

    quantity: int


class Variant(msgspec.Struct):
    """The variant of an item."""

    requiresComponents: bool


class Line(msgspec.Struct):
    """An item, or a level with its parent."""

    id: str
    parent: str | None = msgspec.field(default=None, name="__parentId")
    sku: str | None = None
    tracked: bool | None = None
    variant: Variant | None = None
    isActive: bool | None = None
    location: Id | None = None
    quantities: list[Quantity] = []


def parse(path: Path) -> pl.DataFrame:
    """LEVELS of the file."""
    decode = msgspec.json.Decoder(Line).decode
    items: list[tuple[int, bool | None, bool | None, str | None]] = []
    item, location, available, active = [], [], [], []
    with path.open("rb") as file:
        for text in file:
            line = decode(text)
            if line.parent is None:
                parts = line.variant.requiresComponents if line.variant else None
                items.append((int(line.id[28:]), line.tracked, parts, line.sku))
            elif line.location is not None:
                item.append(int(line.parent[28:]))
                location.append(int(line.location.id[23:]))
                available.append(line.quantities[0].quantity if line.quantities else None)
                active.append(line.isActive)
    columns = dict(zip(LEVEL, (item, location, available, active), strict=True))
    levels = pl.DataFrame(columns, schema=LEVEL)
    return levels.join(pl.DataFrame(items, schema=ITEMS, orient="row"), on="inventory_item_id", how="left")
