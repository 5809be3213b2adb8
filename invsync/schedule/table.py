"""The table of the schedule: shop, job and cron, in UTC."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cronsim import CronSim, CronSimError

from invsync.config.settings import Settings
from invsync.errors import UsageError
from invsync.jobs.job import JOBS
from invsync.site.fleet import Due

GRACE = timedelta(minutes=10)  # for which a job may be under way


@dataclass(frozen=True)
class Entry:
    """One job of one shop and its cron text, read as cron reads it."""

    shop: str
    job: str
    cron: str

    def after(self, moment: datetime) -> datetime:
        """Return the next time that the job is due after this moment."""
        return next(CronSim(self.cron, moment))

    def before(self, moment: datetime) -> datetime:
        """Return the last time that the job was due before this moment."""
        return next(CronSim(self.cron, moment, reverse=True))

    def due_since(self, moment: datetime) -> datetime:
        """Return the time since which a run must have finished by this moment: the last but one that it was due."""
        return self.before(self.before(moment - GRACE))


def entries(configured: Settings, shops: Sequence[str] = ()) -> list[Entry]:
    """Return the jobs of these shops, or of all: of each its regular job and the hard sync.

    Raises UsageError where the configuration has no shop, or a cron text is wrong.
    """
    if not configured.shops:
        raise UsageError("The configuration names no shop: add one as [shops.acme].")
    table = []
    for name in shops or configured.shops:
        shop = configured.shop(name)
        jobs = [job.name for job in JOBS.values() if job.scheduled and shop.keep_by in job.keeps]
        table += [Entry(name, job, getattr(shop.schedule, job.replace("-", "_"))) for job in jobs]
    for entry in table:
        _check(entry)
    return table


def dues(configured: Settings, now: datetime) -> dict[str, list[Due]]:
    """Return when the jobs of every shop are due."""
    made: dict[str, list[Due]] = {}
    for entry in entries(configured) if configured.shops else []:
        made.setdefault(entry.shop, []).append(Due(entry.job, entry.due_since(now), entry.after(now)))
    return made


def has_webhooks(configured: Settings, shop: str) -> bool:
    """Whether webhooks are meant to reach this shop."""
    return configured.shop(shop).webhook_url is not None and configured.shop(shop).keep_by != "another"


def _check(entry: Entry) -> None:
    try:
        CronSim(entry.cron, datetime(2026, 1, 1))
        if set(entry.cron.upper().replace("JUL", "")) & set("L#"):
            raise CronSimError("not every cron knows L and #")
    except CronSimError as error:
        key = f"[shops.{entry.shop}.schedule] {entry.job.replace('-', '_')}"
        raise UsageError(f"Cron text {entry.cron!r} of {key} is wrong ({error}): correct it.") from None
