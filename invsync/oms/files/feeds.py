"""HotWax's own CSV feeds, beside its tables: configuration export, inventory reset, inventory variance.

A feed is recognised by its columns, in any case and with any separators in their names.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from itertools import chain

import polars as pl

from invsync.errors import OmsFailed
from invsync.inputs.door import ID, QUANTITY, ROW, WORD, Table
from invsync.oms.schemas import Places

PAIR = ["product_id", "facility_id"]
IDENTIFIED = {
    "facility_id": ID,
    "external_facility_id": ID,
    "product_id": ID,
    "id_type": WORD,
    "id_value": WORD,
}
KINDS = {
    "configuration": Table(
        "configuration",
        {"product_id": ID, "facility_id": ID, "atp": QUANTITY, "minimum_stock": QUANTITY},
        key=PAIR,
        required=["atp"],
        repeats=False,
    ),
    "reset": Table("reset", IDENTIFIED | {"available_qty": QUANTITY}, required=["available_qty"]),
    "variance": Table(
        "variance", IDENTIFIED | {"available_delta": QUANTITY, "variance_reason_id": ID}, required=["available_delta"]
    ),
}
OPTIONAL = {"product_id", "external_facility_id"}
NEEDED = {
    "configuration": {"product_id", "facility_id", "atp", "minimum_stock"},
    "reset": {"facility_id", "id_type", "id_value", "available_qty"},
    "variance": {"id_type", "id_value", "available_delta", "variance_reason_id"},
}
COLUMNS = {name.replace("_", ""): name for name in {*chain(*NEEDED.values()), *OPTIONAL}}
NO_FEED = "The file {} is neither a table nor a feed: HotWax's feeds are CSV files; export it as one, or take it away."
COUNTS, IDS = {"available_qty", "available_delta"}, {"id_type", "id_value"}
MEANT = re.compile(r"(inventory[-_ ]?)?(reset|variance|configuration)", re.IGNORECASE)
DATE = re.compile(r"\d{6,}")  # the digits of a date or time in a file's name


@dataclass(frozen=True)
class Feed:
    """A feed: its rows as text and as values, the FAULTS in them, and the `identity` of its content."""

    name: str
    written: datetime
    kind: str
    texts: pl.DataFrame
    rows: pl.DataFrame
    faults: pl.DataFrame
    identity: str
    places: Places


def canonical(column: str) -> str:
    """Return the one name of productId, ProductID, product-id, PRODUCT_ID and t.productId; other columns keep theirs."""
    return COLUMNS.get("".join(filter(str.isalnum, column.rpartition(".")[2])).lower(), column)


def feed(name: str, written: datetime, texts: pl.DataFrame, places: Places) -> Feed | None:
    """Return the file as a feed; None where it is not one. `places` says where its rows are.

    Raises OmsFailed, with the missing columns, for a file that is nearly a feed.
    """
    names = [canonical(column) for column in texts.columns]
    if twice := sorted({column for column in names if names.count(column) > 1}):
        raise OmsFailed(f"The feed {name} has the column {twice[0]} twice: export it once.")
    texts = texts.rename(dict(zip(texts.columns, names, strict=True)))
    kind = next((kind for kind, columns in NEEDED.items() if columns <= set(texts.columns)), None)
    if kind is None:
        _check_meant(name, texts.columns)
        return None
    rows = KINDS[kind].read(texts)
    _, faults = KINDS[kind].checked(rows)
    return Feed(name, written, kind, texts, rows.with_row_index(ROW), faults, identity(name, texts), places)


def _check_meant(name: str, columns: list[str]) -> None:
    """Raise OmsFailed for a file that was meant as a feed, by its name or by columns like those of a feed."""
    bare = ["".join(filter(str.isalnum, column)).lower() for column in columns]
    like = {COLUMNS[near[0]] for one in bare if (near := get_close_matches(one, COLUMNS, 1, 0.8))}
    lacks = {kind: needed - set(columns) for kind, needed in NEEDED.items()}
    kind = min(lacks, key=lambda kind: len(lacks[kind] - like))
    if like & COUNTS or like >= IDS or MEANT.match(name):
        raise OmsFailed(
            f"The file {name} is neither a table nor a feed: as a feed of kind {kind} it lacks the column(s) "
            f"{', '.join(sorted(lacks[kind]))}; correct its header, or take it out of the folder."
        )


def identity(name: str, texts: pl.DataFrame) -> str:
    """Return a hash of the feed's rows, and of the time of its export where its name has one.

    A file that is copied, renamed or touched stays the same feed; the next export under the same name is another.
    """
    stated = "".join(DATE.findall(name))
    content = texts.select(sorted(texts.columns)).write_csv()
    return hashlib.sha256(f"{stated}\n{content}".encode()).hexdigest()[:20]
