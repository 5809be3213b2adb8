"""The jobs, each as one value: to add one, add its value here, its name to the vocabulary, and its notebook."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from invsync.errors import UsageError
from invsync.jobs.context import Context
from invsync.jobs.methods.deltas import Deltas
from invsync.jobs.methods.realtime import Realtime
from invsync.jobs.methods.resets import Resets
from invsync.jobs.methods.shadow import Shadow
from invsync.jobs.sending import Planner
from invsync.vocabulary import DELTAS, HARD, REALTIME, RECENT, SHADOW


@dataclass(frozen=True)
class Job:
    """One job: how it selects, reads and remembers (`method`), and what its notebook may be given beyond the rest.

    `keeps` are the ways of keeping a shop that the job fits: by `resets`, by `deltas`, or by `another`
    system that invsync only watches.
    `parameters` are its own, each with its default. `scheduled`: it runs by cron, and not when webhooks wait.
    """

    name: str
    method: Callable[[Context], Planner[Any, Any]]
    keeps: tuple[str, ...]
    parameters: Mapping[str, str] = field(default_factory=dict)
    scheduled: bool = True

    @property
    def notebook(self) -> str:
        """The file name of its notebook."""
        return f"{self.name.replace('-', '_')}.ipynb"


JOBS = {
    job.name: job
    for job in (
        Job(RECENT, Resets, keeps=("resets",)),
        Job(DELTAS, Deltas, keeps=("deltas",), parameters={"since": ""}),
        Job(HARD, Resets, keeps=("resets", "deltas"), parameters={"include_groups": "", "exclude_groups": ""}),
        Job(REALTIME, Realtime, keeps=("resets", "deltas"), scheduled=False),
        Job(SHADOW, Shadow, keeps=("another",), parameters={"days": "7"}),
    )
}


def job(name: str) -> Job:
    """The job of this name; a UsageError for an unknown one."""
    if name not in JOBS:
        raise UsageError(f"Job {name!r} is unknown: choose one of {', '.join(sorted(JOBS))}.")
    return JOBS[name]
