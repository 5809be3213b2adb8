"""Whether the state database is older than what runs left elsewhere: then it was restored, or is new."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from invsync.runs import archive, record
from invsync.runs.record import Record
from invsync.state import State

RUN_ID = "[0-9]*Z-*"


def unknown_run(state: State, shop: str, reports: Path, copies: str | None, *, own: str) -> str | None:
    """The newest run that may have sent something, by its folder or the copy of it, and that the state knows nothing of.

    Folders are looked at first; copies that cannot be read then are a SystemFailed.
    """
    newest = state.runs.newest(shop) or ""

    def unknown(runs: Iterable[str]) -> str | None:
        return max((one for one in runs if one > newest and one != own and not state.outbox.parts(one)), default=None)

    return unknown(_local(reports / shop, newest)) or unknown(filter(None, [archive.newest(copies, shop)]))


def _local(folder: Path, newest: str) -> Iterator[str]:
    for run in folder.glob(f"*/{RUN_ID}"):
        if run.name > newest and record.has_sent(record.read(run) or _cut_short(run)):
            yield run.name


def _cut_short(folder: Path) -> Record:
    """The record of a run that was killed before it wrote one."""
    return Record(files=record.files(folder))
