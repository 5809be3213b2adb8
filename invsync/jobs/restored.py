"""Whether the state database is older than what runs left on the disk: then it was restored, or begun anew."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec

from invsync.jobs import summary
from invsync.state import State

RUN_ID = "[0-9]*Z-*"
SENT = {"done", "partial"}


def unknown_run(state: State, shop: str, reports: Path, copies: str | None, *, own: str) -> str | None:
    """The newest run that may have sent something, by its folder or the copy of it, and that the state knows nothing of."""
    newest = state.runs.newest(shop) or ""
    later = {*_local(reports / shop, newest), *(_copied(copies, shop, newest) if copies else ())}
    return max((run_id for run_id in later if run_id != own and not state.outbox.parts(run_id)), default=None)


def _local(folder: Path, newest: str) -> Iterator[str]:
    for run in folder.glob(f"*/{RUN_ID}"):
        if run.name > newest and has_sent(summary.read(run) or _cut_short(run)):
            yield run.name


def _copied(copies: str, shop: str, newest: str) -> Iterator[str]:
    """The same of the copies; a storage that does not answer is no reason to stop."""
    with suppress(Exception):
        files, root = fsspec.url_to_fs(copies)
        for path in files.glob(f"{root.rstrip('/')}/{shop}/*/{RUN_ID}/run.json"):
            run_id = path.split("/")[-2]
            if run_id > newest and has_sent(json.loads(files.cat_file(path))):
                yield run_id


def _cut_short(folder: Path) -> dict[str, Any]:
    """What a run.json would say of a run that was killed before it wrote one."""
    return {"status": "failed", "files": summary.files(folder)}


def has_sent(run: dict[str, Any] | None) -> bool:
    """Whether a run may have sent something: it planned some and ended, or left answers beside lines and did not."""
    if run is None:
        return False
    if run["status"] != "failed":
        return run["status"] in SENT and run["counts"]["planned"] > 0
    begun = any(file["name"].startswith("result") for file in run["files"])
    return begun and any(file["name"].startswith("adjustments") and file["bytes"] for file in run["files"])
