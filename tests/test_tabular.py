"""Files of rows: whole and counted, whatever program wrote them, or refused with what is wrong and where."""

import io
from datetime import UTC, datetime

import polars as pl
import pytest

from invsync.inputs import tabular


def rows(content: str | bytes, name: str = "x.csv") -> list[tuple[str | None, ...]]:
    return tabular.read(name, content if isinstance(content, bytes) else content.encode()).rows()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b\n1,2\n", [("1", "2")]),
        ("\ufeffa,b\r\n1,2\r\n", [("1", "2")]),
        ("a;b\n1;2\n", [("1", "2")]),
        ("a\tb\n1\t2\n", [("1", "2")]),
        (" A , b\n1,2\n", [("1", "2")]),
        ("a,b\n1,2\n\n\n3,4\n\n", [("1", "2"), ("3", "4")]),
        ("a,b\n1,2\n,\n", [("1", "2")]),
        ('a,b\n1,"two\nlines"\n', [("1", "two\nlines")]),
        ('a,b\n1,"two\n\nlines, ""quoted"""\n\n', [("1", 'two\n\nlines, "quoted"')]),
        ('a,b\n1,"C:\\"\n3,4\n', [("1", "C:\\"), ("3", "4")]),
        ("a,b\n1,Größe\n", [("1", "Größe")]),
        ("a,b\n", []),
    ],
)
def test_a_whole_file_is_read(content: str, expected: list[tuple[str, str]]) -> None:
    assert rows(content) == expected


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a,b\n1,2", "its last line has no end"),
        (b"a,b\n1,2\n3\n4,5\n", "line 3 lacks values"),
        (b"a,b\n1,2\n3,4,5\n", "line 3 has more values than the header"),
        (b'a,b\n1,2\n3,12" pipe\n', "look at line 3"),
        (b'a,b\n1,"a\\"b\\"c"\n', "behind a backslash"),
        (b'a,b\n1,"a"x\n', "a quote"),
        ("a,b\n1,Caf\u00e9\n".encode("cp1252"), "not in UTF-8 .byte 0xe9 in line 2"),
        ("a,b\n1,Caf\u00e9\n".encode("utf-16"), "is in UTF-16"),
        ("a,b\n1,2\n".encode("utf-16-le"), "is in UTF-16"),
        (b"a,b\n1,2\x00\n", "NUL byte in line 2"),
        (b"a,b\r1,2\r", "carriage return"),
        (b"a,b,A\n1,2,3\n", "column a twice"),
        (b"a,a\n1,2\n", "column twice"),
        (b"\n", "could not be read"),
    ],
)
def test_a_damaged_file_is_refused_with_the_place(content: bytes, why: str) -> None:
    with pytest.raises(tabular.Damaged, match=why):
        rows(content)


def test_a_record_knows_its_line() -> None:
    content = b'\xef\xbb\xbfa,b\r\n1,"two\r\nlines"\r\n\r\n,\r\n3,4\r\n'
    assert tabular.places("x.csv", content, (0, 1)) == ["x.csv, line 2", "x.csv, line 6"]
    assert tabular.places("x.parquet", b"", (0, 1)) == ["x.parquet, row 1", "x.parquet, row 2"]


def parquet(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


def test_numbers_and_stamps_of_parquet_stay_what_they_are_and_any_other_plain_type_is_text() -> None:
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    frame = pl.DataFrame({"id": [1.0], "ok": [True], "day": [noon.date()], "utc": [noon], "text": [b"x"]})
    assert tabular.read("x.parquet", parquet(frame)).rows() == [(1.0, "true", "2026-03-02", noon, "x")]


def test_lists_and_half_files_of_parquet_are_refused() -> None:
    with pytest.raises(tabular.Damaged, match="lists or objects in the column a"):
        rows(parquet(pl.DataFrame({"a": [[1, 2]]})), "x.parquet")
    with pytest.raises(tabular.Damaged, match="could not be read"):
        rows(parquet(pl.DataFrame({"a": [1]}))[:40], "x.parquet")
