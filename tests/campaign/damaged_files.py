"""One damage to a file's header, to its bytes, or to the files of the folder."""

import gzip
import io
from collections.abc import Callable
from random import Random

import polars as pl
from campaign.damages import Damage, Files, Target, any_record, doubled_otherwise
from campaign.drawn_worlds import kind
from campaign.exporters import BOM, Cell, Sheet, camel, parquet


def headers(rng: Random, target: Target) -> Damage | None:
    """The names of the columns: another case, blanks, one gone, one twice, one without a name."""
    word = rng.choice(list(HEADERS))
    sheet = target.sheet.copy()
    names = [*target.names]
    after = HEADERS[word](rng, target, sheet, names)
    if after is None:
        return None
    other = Target(**{**target.__dict__, "sheet": sheet, "names": names})
    lines = [target.dialect.line(sheet, sheet.header, is_header=True), *map(other.line, sheet.records)]
    return Damage(f"header: {word}", target.name, "right", after, {target.file: target.joined(lines)})


def _renamed(
    change: Callable[[str], str], *, is_another: bool = False
) -> Callable[[Random, Target, Sheet, list[str]], str | None]:
    """One column or all of them under another name; one that `is_another` is as good as not exported."""

    def renamed(rng: Random, target: Target, sheet: Sheet, names: list[str]) -> str | None:
        at = None if rng.random() < 0.5 else rng.randrange(len(sheet.header))
        spared = target.optional if is_another else set()
        sheet.header = [
            change(shown) if at in (None, number) and name not in spared else shown
            for number, (shown, name) in enumerate(zip(sheet.header, names, strict=True))
        ]
        return ",".join(sheet.header)

    return renamed


def _column_gone(rng: Random, target: Target, sheet: Sheet, names: list[str]) -> str | None:
    choice = [
        n
        for n, name in enumerate(names)
        if name not in target.optional and kind(name) != "text" and (target.name, name) != ("facility", "external_id")
    ]
    at = rng.choice(choice)
    gone = sheet.header.pop(at)
    names.pop(at)
    for record in sheet.records:
        record.pop(at)
    return f"without {gone}"


def _column_twice(rng: Random, target: Target, sheet: Sheet, names: list[str]) -> str | None:
    """A second column of one name, before the right one or behind it: equal, empty, or with other values."""
    choice = [n for n, name in enumerate(names) if kind(name) != "text"]
    at, form = rng.choice(choice), rng.choice(["equal", "empty", "another"])
    to = rng.choice([at, at + 1, len(names)])
    name = rng.choice(
        [sheet.header[at], sheet.header[at].upper(), sheet.header[at] + ".1"]
        if form == "equal"
        else [sheet.header[at], sheet.header[at].upper()]
    )
    sheet.header.insert(to, name)
    names.insert(to, names[at])
    cells = [record[at] for record in sheet.records]
    others: dict[str, list[Cell]] = {"equal": cells, "empty": [None for _ in cells], "another": cells[1:] + cells[:1]}
    for record, cell in zip(sheet.records, others[form], strict=True):
        record.insert(to, cell)
    return f"{name} again as column {to + 1}, {form}"


def _index(rng: Random, target: Target, sheet: Sheet, names: list[str]) -> str | None:
    """pandas' index before the columns."""
    sheet.header.insert(0, "")
    names.insert(0, "index")
    for number, record in enumerate(sheet.records):
        record.insert(0, str(number))
    return "an index without a name"


def _no_header(rng: Random, target: Target, sheet: Sheet, names: list[str]) -> str | None:
    if not sheet.records:
        return None
    sheet.header = ["" if cell is None else cell for cell in sheet.records.pop(0)]
    return "the first record in its place"


HEADERS: dict[str, Callable[[Random, Target, Sheet, list[str]], str | None]] = {
    "upper case": _renamed(str.upper),
    "capitals": _renamed(str.title),
    "camel case": _renamed(camel),
    "blank behind": _renamed(lambda name: name + " "),
    "blank before": _renamed(lambda name: " " + name),
    "no-break space": _renamed(lambda name: name + "\u00a0"),
    "quoted twice": _renamed(lambda name: f'"{name}"'),
    "with its table": _renamed(lambda name: f"t.{name}", is_another=True),
    "blanks for underscores": _renamed(lambda name: name.replace("_", " ")),
    "misspelt": _renamed(lambda name: name.replace("i", "l", 1), is_another=True),
    "column gone": _column_gone,
    "column twice": _column_twice,
    "index": _index,
    "no header": _no_header,
}


# -- the file


def files(rng: Random, target: Target) -> Damage | None:
    """The bytes of the file, or the files of the folder."""
    word = rng.choice(list(FILES))
    done = FILES[word](rng, target)
    return done and Damage(word, target.name, "right", done[0], done[1])


def _encoded(encoding: str) -> Callable[[Random, Target], tuple[str, Files] | None]:
    """The file in another encoding, where that is another file."""

    def encoded(rng: Random, target: Target) -> tuple[str, Files] | None:
        text = target.whole().decode()
        if not encoding.startswith("utf"):
            text = text.lstrip(BOM)
        content = text.encode(encoding, errors="replace")
        return None if content == target.whole() else (encoding, {target.file: content})

    return encoded


def _cut(rng: Random, target: Target) -> tuple[str, Files] | None:
    """Within a record, not at its end."""
    lines = target.lines()
    at = any_record(rng, lines)
    if len(lines[at]) < 2:
        return None
    kept = rng.randrange(1, len(lines[at]))
    size = len(target.joined(lines[:at])) + len(lines[at][:kept].encode())
    content = target.whole()
    padding = b"\x00" * (len(content) - size) if rng.random() < 0.2 else b""
    ending = b"" if padding or rng.random() < 0.7 else target.dialect.newline.encode()
    if ending and kept >= len(lines[at]) - lines[at][::-1].find(target.dialect.delimiter) - 1:
        return None  # the last value alone is shorter: another legal record
    return f"in record {at} at {kept}, then {(padding or ending)[:2]!r}", {
        target.file: content[:size] + padding + ending
    }


def _nul(rng: Random, target: Target) -> tuple[str, Files] | None:
    lines = target.lines()
    at = any_record(rng, lines)
    where = rng.randrange(len(lines[at]) + 1)
    lines[at] = lines[at][:where] + "\x00" + lines[at][where:]
    return f"in record {at} at {where}", {target.file: target.joined(lines)}


def _line_ends(rng: Random, target: Target) -> tuple[str, Files] | None:
    lines = target.lines()
    form = rng.choice(["CR", "CR CR LF", "CR LF", "mixed", "LF CR"])
    if form == "mixed":
        content = target.joined([line + ("\r" if rng.random() < 0.5 else "") for line in lines], "\n")
    else:
        newline = {"CR": "\r", "CR LF": "\r\n", "CR CR LF": "\r\r\n", "LF CR": "\n\r"}[form]
        content = target.joined(lines, newline)
    return form, {target.file: content}


def _no_last_end(rng: Random, target: Target) -> tuple[str, Files] | None:
    """Some programs end no last line: the file is whole, or is refused."""
    return "the last line has no end", {target.file: target.whole().rstrip(b"\r\n")}


def _blank_ends(rng: Random, target: Target) -> tuple[str, Files] | None:
    return "blank lines at the end", {target.file: target.whole() + target.dialect.newline.encode() * rng.randint(1, 3)}


def _something_else(rng: Random, target: Target) -> tuple[str, Files] | None:
    form = rng.choice(["html", "empty", "blank line", "gzip", "spreadsheet", "json", "message", "byte order mark"])
    content = {
        "html": b"<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>\n",
        "empty": b"",
        "blank line": b"\n",
        "gzip": gzip.compress(target.whole()),
        "spreadsheet": b"PK\x03\x04\x14\x00\x06\x00" + bytes(range(200)),
        "json": b'[{"productId": "10023"}]\n',
        "message": b"ERROR 1045 (28000): Access denied\n",
        "byte order mark": BOM.encode(),
    }[form]
    return form, {target.file: content}


def _twice_exported(rng: Random, target: Target) -> tuple[str, Files] | None:
    """A second file of the same table that says something else."""
    changed = doubled_otherwise(rng, target, target.lines())
    if changed is None:
        return None
    at = int(changed[0].split()[1])
    lines = target.lines()
    lines[at] = next(line for line in changed[1] if line not in lines)
    if rng.random() < 0.5:
        return f"{target.name.upper()}.csv too, record {at} another", {
            f"{target.name.upper()}.csv": target.joined(lines)
        }
    if target.dialect.backslash or target.dialect.delimiter != "," or target.dialect.title:
        return None
    frame = pl.read_csv(io.StringIO(target.joined(lines).decode().lstrip(BOM)), infer_schema=False)
    return f"{target.name}.parquet too, record {at} another", {f"{target.name}.parquet": parquet(frame)}


def _upper_name(rng: Random, target: Target) -> tuple[str, Files] | None:
    return "the name in capitals", {target.file: None, f"{target.name.upper()}.CSV": target.whole()}


def _bom(rng: Random, target: Target) -> tuple[str, Files] | None:
    return "a byte order mark more", {target.file: BOM.encode() + target.whole()}


FILES: dict[str, Callable[[Random, Target], tuple[str, Files] | None]] = {
    "Windows-1252": _encoded("cp1252"),
    "Latin-1": _encoded("latin-1"),
    "UTF-16": _encoded("utf-16"),
    "UTF-16 without mark": _encoded("utf-16-le"),
    "UTF-32": _encoded("utf-32"),
    "cut": _cut,
    "NUL": _nul,
    "line ends": _line_ends,
    "no last end": _no_last_end,
    "blank ends": _blank_ends,
    "something else": _something_else,
    "two files": _twice_exported,
    "name in capitals": _upper_name,
    "byte order mark": _bom,
}
