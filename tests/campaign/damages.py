"""One damage to one value or one line of a file, as programs and people do it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from campaign import spellings
from campaign.drawn_worlds import COLUMNS, KEYS, OPTIONAL_COLUMNS, READ, Value, World, kind
from campaign.exporters import BOM, Cell, Dialect, Sheet

Files = dict[str, bytes | None]  # by name; None where the file is gone


@dataclass
class Target:
    """A file that may be damaged: a table's or a feed's, its cells as text and as values.

    `needed` are the columns in which null is no value.
    """

    name: str
    dialect: Dialect
    sheet: Sheet
    names: list[str]
    values: list[list[Value]]
    zone: str
    needed: set[str]
    keys: list[str]
    optional: set[str] = field(default_factory=set)
    doubles: bool = True  # two records with one key are no two things

    @property
    def file(self) -> str:
        """The file's name."""
        return f"{self.name}.csv"

    def lines(self) -> list[str]:
        """The header and the records, each without its end."""
        sheet = self.sheet
        return [self.dialect.line(sheet, sheet.header, is_header=True), *map(self.line, sheet.records)]

    def line(self, record: list[Cell]) -> str:
        """One record as this dialect writes it."""
        return self.dialect.line(self.sheet, record)

    def joined(self, lines: list[str], newline: str | None = None) -> bytes:
        """These lines as a file."""
        title = [self.dialect.title(self.sheet.table)] if self.dialect.title else []
        text = "".join(line + (newline or self.dialect.newline) for line in title + lines)
        return ((BOM if self.dialect.bom else "") + text).encode()

    def whole(self) -> bytes:
        """The undamaged file."""
        return self.joined(self.lines())


@dataclass
class Damage:
    """What was done: its kind, to which column and from what to what, and the files that replace the right ones."""

    kind: str
    target: str
    before: str
    after: str
    files: Files
    column: str | None = None

    def __str__(self) -> str:
        at = f"{self.target}.{self.column}" if self.column else self.target
        return f"{self.kind}: {at}: {self.before} -> {self.after}"


def of_table(world: World, dialect: Dialect, table: str) -> Target:
    """A table's file."""
    names = COLUMNS[table].split()
    keys = KEYS[table].split()
    values = [list(row.values()) for row in world.tables[table]]
    optional = {column for name, column in OPTIONAL_COLUMNS if name == table}
    return Target(table, dialect, dialect.sheet(world, table), names, values, world.zone, set(keys), keys, optional)


def any_table(rng: Random, world: World, dialect: Dialect) -> Target:
    """A table with rows; those that a target depends on more often."""
    often = ("product_facility", "facility_group_member", "order_item", "inventory_item_detail", "order_header")
    full = [table for table in (*READ, *often) if world.tables[table]]
    return of_table(world, dialect, rng.choice(full))


# -- one value


@dataclass(frozen=True)
class Place:
    """Cells of one column that one spelling applies to, with what becomes of each."""

    column: int
    cells: dict[int, str]


def _places(target: Target, spelling: spellings.Spelling, of: Callable[[str, Value], bool]) -> list[Place]:
    places = []
    for number, name in enumerate(target.names):
        spelt = {
            row: spelling(values[number], target.zone)
            for row, values in enumerate(target.values)
            if of(name, values[number])
        }
        cells = {row: text for row, text in spelt.items() if text is not None}
        if cells:
            places.append(Place(number, cells))
    return places


def _respelt(rng: Random, target: Target, word: str, places: list[Place]) -> Damage | None:
    """One cell of a column spelt otherwise, or every one."""
    if not places:
        return None
    place = rng.choice(places)
    cells = place.cells if rng.random() < 0.3 else dict([rng.choice(list(place.cells.items()))])
    sheet = target.sheet.copy()
    first = next(iter(cells))
    for row, text in cells.items():
        sheet.records[row][place.column] = text
    damaged = [target.dialect.line(sheet, sheet.header, is_header=True), *map(target.line, sheet.records)]
    many = " and the whole column" if len(cells) > 1 else f" in record {first + 1}"
    return Damage(
        word,
        target.name,
        repr(target.sheet.records[first][place.column]),
        repr(cells[first]) + many,
        {target.file: target.joined(damaged)},
        target.names[place.column],
    )


def _by_kind(wanted: str, known: dict[str, spellings.Spelling]) -> Callable[[Random, Target], Damage | None]:
    def damaged(rng: Random, target: Target) -> Damage | None:
        word = rng.choice(list(known))
        return _respelt(rng, target, word, _places(target, known[word], lambda name, value: kind(name) == wanted))

    return damaged


dates = _by_kind("stamp", spellings.STAMPS)
indicators = _by_kind("indicator", spellings.INDICATED)
quantities = _by_kind("quantity", spellings.NUMBERS)
ids = _by_kind("id", spellings.IDS)


def nulls(rng: Random, target: Target) -> Damage | None:
    """A word for null where there is none, or a key or another needed value lost."""
    if rng.random() < 0.7:
        word = rng.choice([*spellings.NULLS, *spellings.NO_IDS])
        spared = ("text", "id") if word in spellings.NO_IDS else ("text",)
        places = _places(
            target, lambda value, zone: word, lambda name, value: value is None and kind(name) not in spared
        )
        return _respelt(rng, target, f"{word!r} for null", places)
    word = rng.choice(spellings.LOST)
    return _respelt(
        rng,
        target,
        f"key lost: {word!r}",
        _places(target, lambda value, zone: word, lambda name, value: name in target.needed),
    )


# -- one line

Change = Callable[[Random, Target, list[str]], "tuple[str, list[str]] | None"]


def any_record(rng: Random, lines: list[str]) -> int:
    """The number of a line that is a record."""
    return rng.randrange(1, len(lines))


def lost_field(rng: Random, target: Target, lines: list[str]) -> tuple[str, list[str]] | None:
    """A record that lacks one of its values, in the middle or at the end."""
    at, gone = any_record(rng, lines), rng.randrange(len(target.names))
    record = target.sheet.records[at - 1]
    short = target.line(record[:gone] + record[gone + 1 :])
    return f"record {at} lacks field {gone + 1}", [*lines[:at], short, *lines[at + 1 :]]


def one_more_field(rng: Random, target: Target, lines: list[str]) -> tuple[str, list[str]] | None:
    """A record with a value more than there are columns."""
    at, where = any_record(rng, lines), rng.randrange(len(target.names) + 1)
    record = [*target.sheet.records[at - 1]]
    record.insert(where, rng.choice(["", "x", "0"]))
    return f"record {at} has field {where + 1} more", [*lines[:at], target.line(record), *lines[at + 1 :]]


def stray_quote(rng: Random, target: Target, lines: list[str]) -> tuple[str, list[str]] | None:
    """A quotation mark where none belongs."""
    at = any_record(rng, lines)
    where = rng.randrange(len(lines[at]) + 1)
    return f"record {at} at {where}", [*lines[:at], lines[at][:where] + '"' + lines[at][where:], *lines[at + 1 :]]


def broken_line(rng: Random, target: Target, lines: list[str]) -> tuple[str, list[str]] | None:
    """A line break within a record that nothing quotes."""
    at = any_record(rng, lines)
    where = rng.randrange(1, max(len(lines[at]), 2))
    if lines[at][:where].count('"') % 2 or target.dialect.quotes == "never":
        return None
    return f"record {at} at {where}", [*lines[:at], lines[at][:where], lines[at][where:], *lines[at + 1 :]]


def doubled(rng: Random, target: Target, lines: list[str]) -> tuple[str, list[str]] | None:
    """The same record twice."""
    at, to = any_record(rng, lines), rng.randrange(1, len(lines) + 1)
    return (f"record {at} again as {to}", [*lines[:to], lines[at], *lines[to:]]) if target.doubles else None


def doubled_otherwise(rng: Random, target: Target, lines: list[str]) -> tuple[str, list[str]] | None:
    """A second record of one key that says something else."""
    at, to = any_record(rng, lines), rng.randrange(1, len(lines) + 1)
    choice = [
        number
        for number, name in enumerate(target.names)
        if name not in target.keys
        and kind(name) in ("quantity", "indicator")
        and target.values[at - 1][number] is not None
    ]
    if not choice or not target.doubles:
        return None
    column = rng.choice(choice)
    value = target.values[at - 1][column]
    record = [*target.sheet.records[at - 1]]
    record[column] = (
        target.dialect.number(value + 7) if isinstance(value, int) else {"Y": "N", "N": "Y"}.get(str(value))
    )
    return f"record {at} again as {to} with {target.names[column]} {record[column]}", [
        *lines[:to],
        target.line(record),
        *lines[to:],
    ]


def header_again(rng: Random, target: Target, lines: list[str]) -> tuple[str, list[str]] | None:
    """The header once more among the records, as where two exports are joined."""
    at = rng.randrange(1, len(lines) + 1)
    return f"before record {at}", [*lines[:at], lines[0], *lines[at:]]


def blank_line(rng: Random, target: Target, lines: list[str]) -> tuple[str, list[str]] | None:
    """A line with nothing in it, or with nothing but delimiters."""
    at, line = (
        rng.randrange(1, len(lines) + 1),
        rng.choice(["", "", " ", target.dialect.delimiter * (len(target.names) - 1)]),
    )
    return f"{line!r} before record {at}", [*lines[:at], line, *lines[at:]]


def footer(rng: Random, target: Target, lines: list[str]) -> tuple[str, list[str]] | None:
    """What a client prints below its rows."""
    rows = len(lines) - 1
    line = rng.choice(
        [
            f"({rows} rows)",
            f"({rows} rows affected)",
            "Total",
            "-- end --",
            "\x1a",
            target.dialect.delimiter.join(["Total", *["12"] * (len(target.names) - 1)]),
        ]
    )
    return repr(line), [*lines, line]


def first_line(rng: Random, target: Target, lines: list[str]) -> tuple[str, list[str]] | None:
    """A line above the header."""
    line = rng.choice(["sep=,", "sep=;", "# exported 2026-03-02", "Inventory report", ""])
    return repr(line), [line, *lines]


def trailing_delimiters(rng: Random, target: Target, lines: list[str]) -> tuple[str, list[str]] | None:
    """Every record ends in one more delimiter, the header too or not."""
    also = rng.random() < 0.5
    return f"header {'too' if also else 'not'}", [
        line + target.dialect.delimiter if number or also else line for number, line in enumerate(lines)
    ]


LINES: dict[str, Change] = {
    "lost field": lost_field,
    "one more field": one_more_field,
    "stray quote": stray_quote,
    "broken line": broken_line,
    "doubled": doubled,
    "doubled otherwise": doubled_otherwise,
    "header again": header_again,
    "blank line": blank_line,
    "footer": footer,
    "line above": first_line,
    "trailing delimiters": trailing_delimiters,
}


def records(rng: Random, target: Target) -> Damage | None:
    """One line that is no record, or a record that is not whole."""
    word = rng.choice(list(LINES))
    done = LINES[word](rng, target, target.lines())
    return done and Damage(word, target.name, "right", done[0], {target.file: target.joined(done[1])})
