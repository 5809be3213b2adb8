"""The story of every item in small script files, each loaded only when someone asks for an item in it."""

import json
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from invsync import tables
from invsync.site.history import EVENTS, History
from invsync.vocabulary import FAULTS, HELD, outcome_words, remedy

A_SHARD = 64  # items a file, about
EVENTS_AN_ITEM = 40
MOST_NAMES = 100_000  # beyond this, an item is found by its whole name only
RUN, KIND = ["path", "t"], ["outcome", "reason", "message", "stocked"]
NUMBERS = ["available", "in_flight", "target", "delta", "after"]
TOLD = ["item", "path", "at", "location_id", *NUMBERS, *KIND[:3]]


def count(items: int) -> int:
    """How many files this many items go into: a power of two."""
    return 1 << (items // A_SHARD).bit_length()


def shard(item: str, shards: int) -> int:
    """The file that tells of an item, whatever the case of its letters."""
    return zlib.crc32(item.lower().encode()) % shards


def write(history: History, site: Path, shards: int, touched: Iterable[str]) -> list[Path]:
    """Write the files that tell of the touched items, and the list of names; those that changed."""
    names = history.pairs["item"].unique().sort().to_list()
    placed = pl.DataFrame(
        {"item": names, "key": [name.lower() for name in names], "place": [shard(name, shards) for name in names]},
        schema={"item": pl.String, "key": pl.String, "place": pl.Int64},
    )
    mine = placed.filter(pl.col("place").is_in({shard(item, shards) for item in touched}))
    listed = names if len(names) <= MOST_NAMES else []
    titles = (
        dict(history.pairs.filter(pl.col("name").is_not_null()).select("item", "name").iter_rows()) if listed else {}
    )
    written = [put(site / "names.js", script("names", listed, [titles.get(name) for name in listed]))]
    for place, text in _files(_rows(history, mine), mine):
        written.append(put(site / f"items-{place}.js", f"invsync.items({place},{text})\n"))
    return [path for path in written if path]


def script(function: str, *given: Any) -> str:
    """A script that hands data to the page."""
    text = ",".join(json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in given)
    return f"invsync.{function}({text})\n"


def put(path: Path, text: str) -> Path | None:
    """Write the file in one step; None when it says so already."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return None
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    return path


def _rows(history: History, mine: pl.DataFrame) -> pl.DataFrame:
    """The newest events and the last looks of these items, `part` by `part`, each with the text that tells of it."""
    newest = _newest(history, mine).with_columns(part=pl.lit("events"))
    looks = history.pairs.select(TOLD).join(mine, on="item").with_columns(part=pl.lit("looks"))
    rows = pl.concat([newest.select(sorted(newest.columns)), looks.select(sorted(looks.columns))])
    rows = rows.sort("key", "part", "at", "location_id", "path", descending=[False, False, True, True, True])
    known = pl.col("path").is_in(history.runs["path"].implode())
    return rows.with_columns(
        path=pl.when(known).then("path").otherwise(pl.lit("")),
        t=pl.col("at").dt.epoch("s"),
        stocked=pl.col("target").fill_null(0) > 0,
    )


def _newest(history: History, mine: pl.DataFrame) -> pl.DataFrame:
    """The newest events of these items, so many an item, read month by month until every item has them."""
    newest = tables.empty(EVENTS).select(TOLD).join(mine, on="item")
    lacking = mine
    for month in history.by_month:
        if lacking.is_empty():
            break
        events = history.events(*TOLD, months=[month]).join(lacking.lazy(), on="item", maintain_order="left").collect()
        events = events.sort("at", "location_id", "path", descending=True, maintain_order=True)
        newest = pl.concat([newest, events]).group_by("key", maintain_order=True).head(EVENTS_AN_ITEM)
        newest = newest.select(events.columns)
        enough = newest.group_by("key").len().filter(pl.col("len") == EVENTS_AN_ITEM)
        lacking = mine.join(enough, on="key", how="anti")
    return newest


def _files(rows: pl.DataFrame, mine: pl.DataFrame) -> list[tuple[int, str]]:
    """Each file's place and text: its runs, its kinds of outcome, and its items, which name both by number."""
    runs, kinds = (rows.select("place", *columns).unique(maintain_order=True) for columns in (RUN, KIND))
    number = pl.int_range(pl.len()).over("place")
    runs, kinds = runs.with_columns(run=number), kinds.with_columns(kind=number)
    coded = rows.join(runs, on=["place", *RUN]).join(kinds, on=["place", *KIND], nulls_equal=True)
    cells = [pl.col("run"), pl.col("location_id"), *map(pl.col, NUMBERS), pl.col("kind")]
    line = pl.concat_str([_plain(cell) for cell in cells], separator=",")
    texts_of = (
        coded.select("key", "part", text=pl.format("[{}]", line))
        .group_by("key", "part")
        .agg(pl.col("text").str.join(","))
    )
    items = mine.unique("key", keep="first", maintain_order=True)
    for part in ("events", "looks"):
        items = items.join(texts_of.filter(part=part).select("key", pl.col("text").alias(part)), on="key", how="left")
    texts = {
        "runs": [(row["place"], json.dumps([row["path"], row["t"]], separators=(",", ":"))) for row in runs.to_dicts()],
        "kinds": [(row["place"], _kind(row)) for row in kinds.to_dicts()],
        "items": [(row["place"], _story(row)) for row in items.sort("key").to_dicts()],
    }
    return _joined(texts)


def _joined(texts: dict[str, list[tuple[int, str]]]) -> list[tuple[int, str]]:
    files: dict[int, dict[str, list[str]]] = {}
    for name, parts in texts.items():
        for place, text in parts:
            files.setdefault(place, {key: [] for key in texts})[name].append(text)
    whole = '{{"runs":[{0}],"kinds":[{1}],"items":{{{2}}}}}'
    return [(place, whole.format(*(",".join(parts[name]) for name in texts))) for place, parts in files.items()]


def _plain(number: pl.Expr) -> pl.Expr:
    """A number as JSON writes it: a whole one without its decimals, a missing one as null."""
    value = number.cast(pl.Float64)
    whole = value.cast(pl.Int64, strict=False).cast(pl.String)
    text = pl.when(value == value.round()).then(whole).otherwise(value.cast(pl.String))
    return pl.when(value.is_finite()).then(text).otherwise(pl.lit("null")).fill_null("null")


def _kind(row: dict[str, Any]) -> str:
    outcome, reason = row["outcome"], row["reason"]
    wrong = outcome in {HELD, *FAULTS}
    todo = remedy(outcome, reason, target=row["stocked"]) if wrong else ""
    return json.dumps([outcome_words(outcome, reason), row["message"] or "", todo], ensure_ascii=False)


def _story(row: dict[str, Any]) -> str:
    key, name = (json.dumps(row[column], ensure_ascii=False) for column in ("key", "item"))
    return f'{key}:{{"name":{name},"events":[{row["events"] or ""}],"looks":[{row["looks"] or ""}]}}'
