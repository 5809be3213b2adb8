"""Exports as programs write and damage them: read right, held by name, or refused; none says another number in silence.

A world is exported in the dialect of a program, one value, one line, the header or the file is damaged, and what the
jobs would make of it (the plan of a hard sync, the selection of a recent run, the net changes of a delta run, the
orders that the OMS knows) is compared with what they make of the undamaged export:

    right     every number is the right one
    held      each pair whose number is another is held by its own name: nothing is sent for it
    quiet     held, by reasons that end no run with exit code 4 (a product or a location that is not mapped)
    refused   the export is refused in one sentence that names the file and, of a value, its line or column
    vague     refused in other words
    silent    anything else
    error     an exception that is not ours

Damaged are: stamps, words for null, indicators, quantities, ids, records, headers, files (encodings, line ends, cut,
exported twice), the types of Parquet columns, and HotWax's feeds. Not drawn is what nobody can see: another legal
value of the same type, a value lost from a nullable column, a record lost whole, an optional column or table that is
not exported.

INVSYNC_DAMAGED is the number of damaged exports, INVSYNC_CASE=family/number repeats one of them and keeps its files.
"""

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest
from campaign import damaged_files, damaged_types, damages, drawn_feeds, exporters, readings
from campaign.damages import Damage, Files, Target
from campaign.drawn_worlds import COLUMNS, EXPORTED, SHOP, World, draw, tamed
from campaign.exporters import DIALECTS, PLAIN, Dialect
from campaign.readings import Reading

from invsync.errors import InvsyncError

COUNT = int(os.environ.get("INVSYNC_DAMAGED", "300"))
SEED = os.environ["INVSYNC_SEED"]
CASE = os.environ.get("INVSYNC_CASE", "")
PER_WORLD = 20
DISABLED = 5  # one world in so many has a shop that HotWax has switched off: it must not be read
TRIES = 40
FEEDS = 3  # of each world
OUTCOMES = ("right", "held", "quiet", "refused", "vague", "silent", "error")
WRONG = ("silent", "error", "vague")
BY_VALUE = {
    "dates": damages.dates,
    "nulls": damages.nulls,
    "indicators": damages.indicators,
    "quantities": damages.quantities,
    "ids": damages.ids,
    "records": damages.records,
    "headers": damaged_files.headers,
    "files": damaged_files.files,
}
NOTHING = Damage("", "", "", "", {})
FAMILIES = ("undamaged", *BY_VALUE, "types", "feeds")


FEED_DIALECTS = [PLAIN] * 8 + [dialect for dialect in DIALECTS if dialect.title is None]


@dataclass
class Tally:
    """What became of every damage, by kind, and a line for each that went wrong."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, kind: str, outcome: str, line: str) -> None:
        """One more."""
        self.counts[kind, outcome] += 1
        if outcome in WRONG:
            self.wrong.append(f"{outcome}: {' '.join(line.split())}")

    def __str__(self) -> str:
        kinds = sorted({kind for kind, _ in self.counts})
        wide = max(map(len, kinds), default=0)
        head = " ".join(f"{outcome:>8}" for outcome in OUTCOMES)
        lines = [
            f"{kind:<{wide}} " + " ".join(f"{self.counts[kind, outcome] or '.':>8}" for outcome in OUTCOMES)
            for kind in kinds
        ]
        total = " ".join(
            f"{sum(n for (_, one), n in self.counts.items() if one == outcome):>8}" for outcome in OUTCOMES
        )
        return "\n".join([f"{'':<{wide}} {head}", *lines, f"{'all':<{wide}} {total}"])


@dataclass
class Export:
    """A folder of exported files, all of one moment.

    `right` is what the jobs make of the same world; None where it is refused.
    """

    world: World
    folder: Path
    right: Reading | None
    dialect: Dialect = PLAIN
    feeds: dict[int, tuple[drawn_feeds.Feed, Target, Reading | None]] = field(default_factory=dict)

    @contextmanager
    def damaged(self, files: Files, minutes: int = 0) -> Iterator[None]:
        """With these files in the place of the right ones."""
        before = {name: self._content(name) for name in files}
        self.write(files, minutes)
        yield
        self.write(before)

    def _content(self, name: str) -> bytes | None:
        path = self.folder / name
        return path.read_bytes() if path.exists() else None

    def write(self, files: Files, minutes: int = 0) -> None:
        """Put these files into the folder, as of the export's moment or later."""
        for name, content in files.items():
            path = self.folder / name
            if content is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(content)
                os.utime(path, (EXPORTED.timestamp() + 60 * minutes,) * 2)

    def outcome(self, damage: Damage) -> tuple[str, str]:
        """What reading the folder comes to, and the words for it."""
        try:
            reading = readings.of_folder(self.world, self.folder)
        except InvsyncError as error:
            return ("refused" if self.right is None or is_clear(str(error), damage) else "vague"), str(error)
        except Exception as error:
            return "error", f"{type(error).__name__}: {error}"
        if self.right is None:
            return "silent", "the shop is disabled, and is read"
        verdict = readings.judged(self.world, self.right, reading)
        return verdict.outcome, "; ".join(verdict.silent or verdict.held)


def is_clear(message: str, damage: Damage) -> bool:
    """Whether a message is one line that names the file or table and, of a value, its line or column."""
    says_where = damage.target in message.lower()
    name = damage.column or ""
    names_value = not name or name.lower() in message.lower() or re.search(r"\b(line|row|record)s? \d+", message)
    return bool(says_where and names_value) and "\n" not in message


def exported(world: World, dialect: Dialect, folder: Path) -> Export:
    """The world in this dialect, beside what is right; where the dialect itself is not read, the plainest."""
    plain, spelt = Export(tamed(world), folder / "plain", None), Export(world, folder / "export", None, dialect)
    for one in (plain, spelt):
        exporters.export(one.world, one.dialect, one.folder)
        one.write({path.name: path.read_bytes() for path in one.folder.iterdir()})
    plain.right = spelt.right = right_of(plain)
    return spelt if plain.right is None or spelt.outcome(NOTHING)[0] == "right" else plain


def right_of(export: Export) -> Reading | None:
    """What is right; None for a shop that is disabled."""
    enabled = {row["shop_id"]: row["is_enabled"] for row in export.world.tables["shopify_shop"]}
    return None if enabled[SHOP] == "N" else readings.of_folder(export.world, export.folder)


# -- the families


def damaged_tables(family: str, export: Export, rng: Random) -> Iterator[tuple[Damage, int]]:
    """One damaged file of a table."""
    for _ in range(TRIES):
        target = damages.any_table(rng, export.world, export.dialect)
        if export.right is None:
            target = damages.of_table(export.world, export.dialect, "shopify_shop")
        if (damage := BY_VALUE[family](rng, target)) is not None:
            yield damage, 0
            return


def cases(family: str, count: int, folder: Path) -> Iterator[tuple[int, Export, Damage, int]]:
    """The damaged exports of a family: number, export, damage, and how much later its file was written, in minutes."""
    export = Export(draw(""), folder, None)
    for number in range(count) if not CASE else [int(CASE.partition("/")[2])]:
        if number % PER_WORLD == 0 or CASE:
            shutil.rmtree(folder, ignore_errors=True)
            export = opened(family, number // PER_WORLD, folder)
        rng = Random(f"{SEED}/{family}/{number}")
        for damage, minutes in DRAWN[family](family, export, rng):
            yield number, export, damage, minutes


def opened(family: str, number: int, folder: Path) -> Export:
    """The family's export of this number."""
    seed = f"{SEED}/{family}/world {number}"
    world, dialect = draw(seed), Random(seed).choice(DIALECTS)
    if family == "feeds":
        return exported(tamed(world), PLAIN, folder)
    if family == "indicators" and number % DISABLED == 0:
        next(row for row in world.tables["shopify_shop"] if row["shop_id"] == SHOP)["is_enabled"] = "N"
    if family == "types":
        return parquet_of(world, folder)
    return exported(world, dialect, folder)


def parquet_of(world: World, folder: Path) -> Export:
    """The world as Parquet files."""
    plain = exported(world, PLAIN, folder / "csv")
    export = Export(world, folder / "parquet", plain.right)
    exporters.export_parquet(world, export.folder)
    export.write({path.name: path.read_bytes() for path in export.folder.iterdir()})
    return export


def whole_exports(family: str, export: Export, rng: Random) -> Iterator[tuple[Damage, int]]:
    """A world in some program's dialect, nothing damaged."""
    dialect = rng.choice(DIALECTS)
    files: Files = {f"{table}.csv": dialect.bytes(dialect.sheet(export.world, table)) for table in COLUMNS}
    yield Damage(f"undamaged: {dialect.name}", "", "", "", files), 0


def other_types(family: str, export: Export, rng: Random) -> Iterator[tuple[Damage, int]]:
    """A Parquet file with a column of another type."""
    for _ in range(TRIES):
        if (damage := damaged_types.types(rng, export.world)) is not None:
            yield damage, 0
            return


def damaged_feeds(family: str, export: Export, rng: Random) -> Iterator[tuple[Damage, int]]:
    """A feed beside the tables, whole or damaged; what is right is what the plain feed comes to."""
    number = rng.randrange(FEEDS)
    if number not in export.feeds:
        export.feeds[number] = whole_feed(export, Random(f"{export.world.seed}/feed {number}"))
    feed, target, right = export.feeds[number]
    before, export.right = export.right, right
    for one in (rng.choice(["undamaged", *BY_VALUE, "identifiers", "identifiers"]) for _ in range(TRIES)):
        if (damage := the_feed(one, feed, target, export, rng)) is not None:
            files = without_stock(feed) | {target.file: target.whole()} | damage.files
            yield replace(damage, kind=f"{feed.form}: {damage.kind}", files=files), 1
            break
    export.right = before


def without_stock(feed: drawn_feeds.Feed) -> Files:
    """A configuration export stands for the stock; other feeds are laid over it."""
    return {"product_facility.csv": None} if feed.form == "configuration" else {}


def whole_feed(export: Export, rng: Random) -> tuple[drawn_feeds.Feed, Target, Reading | None]:
    """A feed, its file as some program writes it (where that is not read: the plainest), and what is right."""
    feed, zone = drawn_feeds.draw(rng, export.world), export.world.zone
    target, plain = feed.target(rng.choice(FEED_DIALECTS), zone), feed.target(PLAIN, zone, is_plain=True)
    before = export.right
    with export.damaged(without_stock(feed) | {plain.file: plain.whole()}, 1):
        export.right = right = right_of(export)
    with export.damaged(without_stock(feed) | {target.file: target.whole()}, 1):
        outcome = export.outcome(NOTHING)[0]
    export.right = before
    return feed, target if outcome == "right" else feed.target(PLAIN, zone), right


def the_feed(family: str, feed: drawn_feeds.Feed, target: Target, export: Export, rng: Random) -> Damage | None:
    if family == "undamaged":
        whole = feed.target(rng.choice(FEED_DIALECTS), export.world.zone)
        return Damage(
            f"undamaged: {whole.dialect.name}", target.name, "right", "as it is", {target.file: whole.whole()}
        )
    if family == "identifiers":
        return drawn_feeds.identifiers(rng, target, export.world)
    return BY_VALUE[family](rng, target)


DRAWN = {name: damaged_tables for name in BY_VALUE} | {
    "undamaged": whole_exports,
    "types": other_types,
    "feeds": damaged_feeds,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_damaged_export_is_right_held_or_refused(family: str, tmp_path: Path) -> None:
    if CASE and not CASE.startswith(f"{family}/"):
        pytest.skip("another family")
    tally = Tally()
    for number, export, damage, minutes in cases(family, max(COUNT // len(FAMILIES), 1), tmp_path / "world"):
        with export.damaged(damage.files, minutes):
            outcome, words = export.outcome(damage)
            if CASE:
                print(f"the damaged export: {shutil.copytree(export.folder, tmp_path / 'damaged')}")
        at = f"INVSYNC_SEED={SEED} INVSYNC_CASE={family}/{number}, {export.dialect.name}, zone {export.world.zone}"
        tally.add(damage.kind, outcome, f"{at}: {damage}: {words}")
    print(f"\n{family}: repeat with INVSYNC_SEED={SEED}\n{tally}", *tally.wrong, sep="\n")
    assert tally.counts, "no export was damaged"
    assert not tally.wrong, f"{len(tally.wrong)} damages went wrong, the first: {tally.wrong[0]}"


@pytest.mark.parametrize("form", ["iso", "excel", "parquet"])
def test_a_plain_export_is_read_right(form: str, tmp_path: Path) -> None:
    """Refusing everything would be no answer."""
    for number in range(max(COUNT // 50, 5)):
        folder, world = tmp_path / str(number), tamed(draw(f"{SEED}/{form}/{number}"))
        dialect = exporters.BY_NAME.get(form, PLAIN)
        export = parquet_of(world, folder) if form == "parquet" else exported(world, dialect, folder)
        assert export.dialect is dialect
        assert export.outcome(NOTHING) == ("right", ""), f"{form}/{number}"


def test_files_say_what_the_database_says(tmp_path: Path) -> None:
    """The plainest export and the same rows in a database come to the same numbers, so neither is right by chance."""
    compared = 0
    for number in range(max(COUNT // 20, 5)):
        world = draw(f"{SEED}/database/{number}")
        if world.is_late:
            continue  # a database knows no order that its stock does not contain
        export = exported(tamed(world), PLAIN, tmp_path / str(number))
        assert export.right is not None
        verdict = readings.judged(world, readings.of_database(world), export.right)
        assert verdict.outcome == "right", f"{number}: {verdict.silent or verdict.held}"
        compared += len(export.right.targets)
    assert compared
