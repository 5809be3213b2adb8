"""The record of a run, `run.json`: how it ended, written atomically; the only place where success is read from."""

import json
import os
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import polars as pl

from invsync import bulkfile
from invsync.plan import Guarded
from invsync.tables import KEY
from invsync.vocabulary import COUNTED, FAILED, HELD, LANDED, PLANNED, SENT, STATUSES, checked

VERSION = 1
FILE = "run.json"
NAMES = [
    "report.ipynb",
    "report.html",
    "mutation.graphql",
    "plan.parquet",
    "outcomes.parquet",
    "shadow.parquet",
    "levels.parquet",
    "claims.parquet",
    "in_flight.parquet",
]
ROOM = 1 << 18  # bytes kept free on the disk for run.json, so that what was sent can be told when the disk is full
NOT_SAID = ("set_aside", "orders_late_since", "subscriptions_lost", "applies", "undoes")  # left out where they are None


def _zeros(*names: str) -> Any:
    return field(default_factory=lambda: dict.fromkeys(names, 0))


@dataclass(frozen=True)
class Record:
    """How a run ended, as `run.json` holds it; a run that has not said otherwise has failed.

    `counts` are pairs: read, selected, planned, by outcome, and needs_a_person; `units` were raised and lowered;
    `in_flight` are orders, units and pairs. Stamps are ISO 8601 in UTC. `window` is `from` and `thru`. `applies` and
    `undoes` name the run whose plan this one sent, or whose changes it turned around.
    """

    run_id: str = ""
    shop: str = ""
    job: str = ""
    status: str = FAILED
    exit_code: int = STATUSES[FAILED].exit_code
    started_at: str | None = None
    finished_at: str | None = None
    window: Mapping[str, str | None] | None = None
    counts: Mapping[str, int] = _zeros("read", "selected", PLANNED, *COUNTED)
    units: Mapping[str, int] = _zeros("raised", "lowered")
    in_flight: Mapping[str, int] = _zeros("orders", "units", "pairs")
    transport: str | None = None
    api_version: str | None = None
    operation_ids: tuple[str, ...] = ()
    files: tuple[bulkfile.Kept, ...] = ()
    guards: tuple[Guarded, ...] = ()
    messages: tuple[str, ...] = ()
    locations: Mapping[str, str] = field(default_factory=dict)
    set_aside: Mapping[str, int] | None = None
    orders_late_since: str | None = None
    subscriptions_lost: tuple[str, ...] | None = None
    applies: str | None = None
    undoes: str | None = None
    version: int = VERSION

    def json(self) -> dict[str, Any]:
        """The record as `run.json` holds it."""
        values = asdict(self) | {name: list(getattr(self, name)) for name in ("operation_ids", "messages")}
        values |= {name: [asdict(each) for each in getattr(self, name)] for name in ("files", "guards")}
        if self.subscriptions_lost is not None:
            values["subscriptions_lost"] = list(self.subscriptions_lost)
        return {name: value for name, value in values.items() if value is not None or name not in NOT_SAID}

    @classmethod
    def of(cls, values: Any) -> Self:
        """The record that a `run.json` holds, whatever version wrote it: a field of another type is as if left out."""
        given = values if isinstance(values, dict) else {}
        known = {each.name: _read(each.name, given[each.name]) for each in fields(cls) if each.name in given}
        record = {name: value for name, value in known.items() if value is not None}
        absent: dict[str, Any] = {name: {} for name in ("counts", "units", "in_flight") if name not in record}
        return cls(**(absent | record))

    @property
    def started(self) -> datetime | None:
        """When the run began."""
        return moment(self.started_at)

    @property
    def finished(self) -> datetime | None:
        """When the run ended; None where it did not say."""
        return moment(self.finished_at)

    def with_message(self, message: str) -> tuple[str, ...]:
        """The messages with this one last."""
        return (*(other for other in self.messages if other != message), message)


def _read(name: str, value: Any) -> Any:
    """A field of a run.json as the record holds it; None where it is of another type."""
    match name:
        case "status":
            return value if isinstance(value, str) and value in STATUSES else None
        case "exit_code" | "version":
            return value if _is_whole(value) else None
        case "counts" | "units" | "in_flight" | "set_aside":
            return {str(k): n for k, n in value.items() if _is_whole(n)} if isinstance(value, dict) else None
        case "locations":
            return {str(k): str(n) for k, n in value.items()} if isinstance(value, dict) else None
        case "window":
            return {"from": None, "thru": None} | value if isinstance(value, dict) else None
        case "messages" | "operation_ids" | "subscriptions_lost":
            listed = [value] if isinstance(value, str) else value
            return tuple(dict.fromkeys(str(each) for each in listed)) if isinstance(listed, list) else None
        case "files":
            return tuple(_file(each) for each in _named(value))
        case "guards":
            return tuple(_guard(each) for each in _named(value))
    return value if isinstance(value, str) else None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _named(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict) and each.get("name")] if isinstance(value, list) else []


def _file(each: dict[str, Any]) -> bulkfile.Kept:
    size, lines = each.get("bytes"), each.get("lines")
    return bulkfile.Kept(
        str(each["name"]),
        str(each.get("sha256") or ""),
        size if isinstance(size, int) else None,  # type: ignore[arg-type]
        lines if isinstance(lines, int) else None,
    )


def _guard(each: dict[str, Any]) -> Guarded:
    def number(name: str) -> float:
        value = each.get(name)
        return float("nan") if not isinstance(value, int | float) else value

    return Guarded(str(each["name"]), number("value"), number("limit"), bool(each.get("stopped")))


def moment(text: str | None) -> datetime | None:
    """The moment that an ISO 8601 text names, or None."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def write(folder: Path, record: Record) -> None:
    """Put run.json in place in one step."""
    part = folder / f"{FILE}.part"
    with part.open("r+b" if part.exists() else "wb") as file:
        file.write(json.dumps(record.json(), indent=2, ensure_ascii=False).encode())
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / FILE)


def reserve(folder: Path) -> None:
    """Keep room for run.json before anything is sent."""
    (folder / f"{FILE}.part").write_bytes(b" " * ROOM)


def has_begun(folder: Path) -> bool:
    """Whether the run left something that people must find: a file for Shopify, or room for what it was about to send."""
    return any(True for name in ("adjustments*", "run.json*") for _ in folder.glob(name))


def read(folder: Path, names: Container[str] | None = None) -> Record | None:
    """The record of the run in this folder, or only these fields of it; None where it has none that can be read."""
    try:
        with open(f"{folder}/{FILE}", encoding="utf-8") as file:
            values = json.load(file)
    except (OSError, ValueError):
        return None
    if names is not None and isinstance(values, dict):
        values = {name: value for name, value in values.items() if name in names}
    return Record.of(values)


def has_sent(run: Record | None) -> bool:
    """Whether a run may have sent something: it planned some and ended, or left answers beside lines and did not."""
    if run is None:
        return False
    if run.status != FAILED:
        return run.status in SENT and run.counts.get(PLANNED, 0) > 0
    begun = any(file.name.startswith("result") for file in run.files)
    return begun and any(file.name.startswith("adjustments") and file.bytes for file in run.files)


def files(folder: Path) -> tuple[bulkfile.Kept, ...]:
    """Every file of the run but run.json, with its hash."""
    lines = sorted([*folder.glob("adjustments*.jsonl"), *folder.glob("result*.jsonl")])
    return tuple(bulkfile.kept(path) for path in [*lines, *(folder / name for name in NAMES)] if path.exists())


def counts(outcomes: pl.DataFrame) -> dict[str, int]:
    """Pairs by outcome; what a dry run planned counts as held."""
    by_outcome = checked(outcomes).group_by(pl.col("outcome").replace(PLANNED, HELD)).len()
    return dict.fromkeys(COUNTED, 0) | dict(by_outcome.iter_rows())


def in_flight(rows: pl.DataFrame) -> dict[str, int]:
    """Orders, units and pairs of these IN_FLIGHT rows."""
    return {
        "orders": rows["order_id"].n_unique(),
        "units": int(rows["units"].sum()),
        "pairs": rows.select(KEY).n_unique() if rows.height else 0,
    }


def units(outcomes: pl.DataFrame) -> dict[str, int]:
    """Units that were raised and lowered by what landed, or would be by a dry run's plan."""
    landed = outcomes.filter(pl.col("outcome").is_in([*LANDED, PLANNED]) & (pl.col("delta") != 0))["delta"]
    return {"raised": int(landed.filter(landed > 0).sum()), "lowered": int(-landed.filter(landed < 0).sum())}
