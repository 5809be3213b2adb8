"""The story of every item in small script files, each loaded only when someone asks for an item in it."""

import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from invsync.report import needs
from invsync.report.history import History

A_SHARD = 64  # items a file, about
EVENTS_AN_ITEM = 40
MOST_NAMES = 100_000  # beyond this, an item is found by its whole name only
NUMBERS = ["available", "in_flight", "target", "delta", "after"]
TOLD = ["item", "path", "at", "location_id", *NUMBERS, "outcome", "reason", "message"]


def count(items: int) -> int:
    """How many files this many items go into: a power of two."""
    return 1 << (items // A_SHARD).bit_length()


def shard(item: str, shards: int) -> int:
    """The file that tells of an item, whatever the case of its letters."""
    return zlib.crc32(item.lower().encode()) % shards


def write(history: History, site: Path, shards: int, touched: Iterable[str]) -> list[Path]:
    """Write the files that tell of the touched items, and the list of names; those that changed."""
    items = history.pairs["item"].unique().to_list()
    places = {item: shard(item, shards) for item in items}
    wanted = {shard(item, shards) for item in touched}
    mine = pl.Series([item for item, place in places.items() if place in wanted], dtype=pl.String)
    events = history.events(*TOLD).filter(pl.col("item").is_in(mine.implode())).collect()
    looks = history.pairs.filter(pl.col("item").is_in(mine.implode())).select(TOLD)
    known = set(history.runs["path"])
    found: dict[int, dict[str, Any]] = {place: {"runs": {}, "kinds": {}, "items": {}} for place in wanted}
    for kind, rows in (("events", events.sort("at", descending=True)), ("looks", looks)):
        for row in rows.iter_rows(named=True):
            _add(found[places[row["item"]]], kind, row, linked=row["path"] in known)
    names = sorted(items) if len(items) <= MOST_NAMES else []
    written = [put(site / "names.js", "names", names)]
    written += [put(site / f"items-{place}.js", "items", place, _plain(told)) for place, told in found.items()]
    return [path for path in written if path]


def put(path: Path, function: str, *given: Any) -> Path | None:
    """Write a script that hands data to the page; None when the file says so already."""
    told = ",".join(json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in given)
    text = f"invsync.{function}({told})\n"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return None
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    return path


def _add(told: dict[str, Any], kind: str, row: dict[str, Any], *, linked: bool) -> None:
    story = told["items"].setdefault(row["item"].lower(), {"name": row["item"], "events": [], "looks": []})
    if len(story[kind]) >= EVENTS_AN_ITEM:
        return
    run = (row["path"] if linked else "", int(row["at"].timestamp()))
    what = (row["outcome"], row["reason"], row["message"], (row["target"] or 0) > 0)
    codes = [told[table].setdefault(key, len(told[table])) for table, key in (("runs", run), ("kinds", what))]
    story[kind].append([codes[0], row["location_id"], *(_short(row[name]) for name in NUMBERS), codes[1]])


def _plain(told: dict[str, Any]) -> dict[str, Any]:
    kinds = [[needs.outcome_words(outcome, reason), message or "", _remedy(outcome, reason, stocked)]
             for outcome, reason, message, stocked in told["kinds"]]  # fmt: skip
    return {"runs": [list(run) for run in told["runs"]], "kinds": kinds, "items": told["items"]}


def _remedy(outcome: str, reason: str | None, stocked: bool) -> str:
    wrong = outcome in {"held", "refused", "unknown"}
    return needs.remedy(outcome, reason, target=stocked) if wrong else ""


def _short(number: float | None) -> float | int | None:
    return int(number) if number is not None and number == int(number) else number
