"""The search for planted secrets, in every form, in every file."""

import base64
import gzip
import html
import json
import urllib.parse
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl
from planting import PLANTED, quoted


def forms(secret: str) -> set[bytes]:
    """Every form of a secret that is searched: plain, in an address, in base64, in JSON and in HTML."""
    plain = {secret, quoted(secret), urllib.parse.quote(secret), urllib.parse.quote_plus(secret), html.escape(secret)}
    plain |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    plain |= {json.dumps(one)[1:-1] for one in plain} | {repr(secret)[1:-1]}
    return {one.encode() for one in plain} | set(_in_base64(secret.encode()))


def _in_base64(secret: bytes) -> Iterator[bytes]:
    """What base64 makes of a secret at each of the three places within a longer text, without its ends."""
    for before in range(3):
        text = base64.b64encode(b"\0" * before + secret + b"\0" * 3)
        yield text[4 if before else 0 : (before + len(secret)) // 3 * 4]


def texts(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder: as it is, and as it is once it is unpacked."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content, name = path.read_bytes(), str(path.relative_to(folder))
        yield name, content
        if path.suffix == ".parquet":
            yield f"{name}, unpacked", pl.read_parquet(path).write_json().encode()
        elif path.suffix == ".gz":
            yield f"{name}, unpacked", gzip.decompress(content)
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                yield from ((f"{name}, {one}", packed.read(one)) for one in packed.namelist())


def leaks(outputs: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """Each output that holds a planted secret, with the name of the secret."""
    searched = {name: forms(value) for name, value in PLANTED.items()}
    return [
        (where, name) for where, text in outputs.items() for name, all_of in searched.items() if _holds(text, all_of)
    ]


def _holds(text: bytes, all_of: set[bytes]) -> bool:
    return any(form in text for form in all_of)
