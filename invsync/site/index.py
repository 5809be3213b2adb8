"""The index of all runs of all shops: a static page, and script files beside it that it loads on demand."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from markupsafe import Markup

from invsync import __version__, charts
from invsync.report.links import Links
from invsync.report.markup import asset, hashed, page
from invsync.runs import record
from invsync.site import fleet, front, inbox_page, shards, snoozes, store
from invsync.site import history as kept
from invsync.site.listing import Fault, Listing, listing
from invsync.vocabulary import DONE, FAILING, HEALTHS, LANDED, PARTIAL, PLANNED, SENT, STATUSES

SITE, KEY = "_site", "key.json"
INLINE = 1_000  # runs that the page itself carries; older ones are loaded by month
SHOWN = [
    "shop",
    "job",
    "status",
    "run_id",
    "t",
    "seconds",
    "selected",
    "changed",
    "raised",
    "lowered",
    "in_flight",
    "needs",
]
Readers = Mapping[str, charts.Reader]


@dataclass(frozen=True)
class Built:
    """What a build did: the page, the runs it knows, how many were read afresh or are gone, the files it wrote.

    `listing` are the faults of the inbox, which was written beside the page.
    """

    page: Path
    runs: int
    fresh: int
    gone: int
    written: int
    listing: Listing


@dataclass(frozen=True)
class _Key:
    """What every script of the site depends on: the version of invsync, and the lists that runs name shops and jobs by."""

    version: str
    shops: list[str]
    jobs: list[str]


def build(
    root: Path,
    readers: Readers,
    links: Mapping[str, Links] | None = None,
    now: datetime | None = None,
    dues: fleet.Dues | None = None,
) -> Built:
    """Bring the index and the inbox below this folder up to date; only new runs are read, only changed files written.

    `readers` gives each shop's locale and time zone; one not named is read in English and UTC. `links` says where
    the links of each shop lead; `now` decides which faults are still snoozed. `dues` says when the jobs of each shop
    are due; a shop that only it names is listed too.
    """
    with store.locked(root / SITE / "state"):
        return _build(root, readers, links, now, dues or {})


def _build(
    root: Path, readers: Readers, links: Mapping[str, Links] | None, now: datetime | None, dues: fleet.Dues
) -> Built:
    history, before = kept.load(root / SITE / "state"), _key(root)
    fresh, gone = kept.extend(history, root)
    if fresh or gone:
        (root / SITE / KEY).unlink(missing_ok=True)  # if this build is killed, the next one writes every script
        history.save()
    number = shards.count(history.pairs["item"].n_unique())
    faults = listing(root, history, snoozes.load(root), readers, links, now)
    shops = _shops(root, history, faults, readers, dues)
    key = _Key(__version__, sorted(shop["name"] for shop in shops), _jobs(history.runs))
    again = before.version != key.version or len(list((root / SITE).glob("items-*.js"))) != number
    written = shards.write(history, root / SITE, number, history.pairs["item"] if again else history.touched)
    _forget(root / SITE, number)
    rows = _rows(history.runs, key)
    written += _months(root / SITE, rows, history.months if before == key else set(rows["month"]))
    pages = {
        "index.html": _page(history, faults, shops, rows, inbox_page.common(history, readers)),
        inbox_page.PAGE: inbox_page.render(faults, history, readers),
    }
    written += [path for name, text in pages.items() if (path := shards.put(root / name, text))]
    shards.put(root / SITE / KEY, json.dumps(asdict(key)))
    return Built(root / "index.html", history.runs.height, fresh, gone, len(written), faults)


def _page(
    history: kept.History, faults: Listing, shops: list[dict[str, Any]], rows: pl.DataFrame, reader: charts.Reader
) -> str:
    """The index as HTML."""
    counted = front.products(history, faults)
    sentence = front.sentence(shops, counted, faults, reader)
    worst = max((shop["kind"] for shop in shops), key=lambda kind: STATUSES[kind].rank, default=PLANNED)
    by_name = sorted(shops, key=lambda shop: str(shop["name"]))
    bare = [{name: shop[name] for name in ("name", "zone", "locale", "places", "synced")} for shop in by_name]
    data = {
        "shops": bare,
        "jobs": _jobs(history.runs),
        "statuses": list(STATUSES),
        "kinds": {name: {"mark": s.mark, "words": s.words, "rank": s.rank} for name, s in STATUSES.items()},
        "shards": shards.count(history.pairs["item"].n_unique()),
        "runs": _columns(rows.tail(INLINE).drop("month")),
        "total": rows.height,
        "months": sorted(set(rows["month"].head(max(0, rows.height - INLINE))), reverse=True),
        "days": _columns(_days(history.runs, by_name)),
    }
    scripts = [asset("index.js"), asset("days.js"), asset("fleet.js")]
    return page(
        "index.html.j2",
        title=f"Is Shopify right? {sentence}",
        scripts=Markup(f"'self' {hashed(*scripts)}"),
        js=[Markup(script) for script in scripts],
        version=__version__,
        kind=worst,
        sentence=sentence,
        tiles=front.tiles(history, shops, counted, faults, reader),
        shops=shops,
        healths=HEALTHS,
        total=rows.height,
        data=Markup(json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")),
    )


def _shops(
    root: Path, history: kept.History, listed: Listing, readers: Readers, dues: fleet.Dues
) -> list[dict[str, Any]]:
    """Each shop with its health, the worst first: its last run of every job, and its open faults."""
    newest = history.runs["started_at"].max()
    now = newest if isinstance(newest, datetime) else datetime.now(UTC)
    sent = history.runs.filter(pl.col("status").is_in(SENT)).group_by("shop").agg(pl.max("started_at"))
    synced, levels, last = dict(sent.iter_rows()), fleet.levels(history), _last(history)
    by_shop = history.runs.partition_by("shop", as_dict=True)
    made = []
    for place, name in enumerate(sorted({*history.runs["shop"].unique(), *dues})):
        mine = [fault for fault in listed.open if fault.shop == name]
        runs, own = by_shop.get((name,), history.runs.clear()), last.filter(pl.col("shop") == name)
        reader = readers.get(name, charts.Reader())
        clock = fleet.Clock(reader, now)
        health = fleet.shop_health(root, runs, own, mine, levels.get(name, (0, 0)), dues.get(name, ()), clock)
        shop = _shop(root, name, own, mine, health, reader)
        made.append(shop | {"place": place, "synced": int(synced[name].timestamp()) if name in synced else None})
    return sorted(made, key=lambda shop: (*shop["health"].rank, shop["name"]))


def _last(history: kept.History) -> pl.DataFrame:
    """The last run of each shop and job that was no rehearsal; a partial one counts as done where the inbox has its faults."""
    last = history.runs.filter(pl.col("status") != PLANNED).unique(["shop", "job"], keep="last", maintain_order=True)
    if not last["status"].is_in([PARTIAL]).any():
        return last
    months = last["started_at"].dt.strftime("%Y-%m").to_list()
    pairs = history.events("path", "fault", months=months).join(last.lazy().select("path"), on="path", how="semi")
    seen = pairs.group_by("path").agg(pairs=pl.col("fault").sum()).collect()
    explained = (pl.col("status") == PARTIAL) & (pl.col("needs") <= pl.col("pairs"))
    counted = last.join(seen, on="path", how="left", maintain_order="left")
    return counted.with_columns(status=pl.when(explained).then(pl.lit(DONE)).otherwise("status")).drop("pairs")


def _shop(
    root: Path, name: str, last: pl.DataFrame, faults: list[Fault], health: fleet.ShopHealth, reader: charts.Reader
) -> dict[str, Any]:
    failing = max(last["status"], key=lambda status: STATUSES[status].rank, default=PLANNED)
    newest = last.row(-1, named=True) if last.height else {}
    weeks = sorted((root / name / "weekly").glob("*.html"))
    run = record.read(root / newest["path"]) if newest else None
    return {
        "name": name,
        "health": health,
        "kind": failing if health.health == FAILING else HEALTHS[health.health].status,
        "said": HEALTHS[health.health].words,
        "path": newest.get("path", ""),
        "levels": f"{reader.number(health.right)} of {reader.number(health.levels)}" if health.levels else charts.NONE,
        "flight": reader.number(newest.get("in_flight")),
        "order_age": reader.span(health.order_age) if health.order_age is not None else "",
        "api_share": reader.share(health.api_share),
        "last": last.select("shop", "job", "status").to_dicts(),
        "faults": reader.number(len(faults)),
        "since": reader.day(min(fault.since for fault in faults)) if faults else "",
        "at_risk": " and ".join(reader.money(amount, currency) for currency, amount in health.at_risk.items()),
        "zone": reader.timezone,
        "locale": reader.locale.replace("_", "-"),
        "places": dict(run.locations) if run else {},
        "week": f"{name}/weekly/{weeks[-1].name}" if weeks else "",
        "ending": weeks[-1].stem if weeks else "",
    }


def _jobs(all_runs: pl.DataFrame) -> list[str]:
    return all_runs["job"].unique().sort().to_list()


def _key(root: Path) -> _Key:
    """The key of the files that are there; an empty one where it cannot be read."""
    try:
        return _Key(**json.loads((root / SITE / KEY).read_bytes()))
    except (OSError, ValueError, TypeError):
        return _Key("", [], [])


def _rows(all_runs: pl.DataFrame, key: _Key) -> pl.DataFrame:
    """The runs as the page lists them: names as places in the page's lists, `t` in seconds."""
    codes = {"shop": key.shops, "job": key.jobs, "status": list(STATUSES)}
    coded = [
        pl.col(name).replace_strict(known, list(range(len(known))), return_dtype=pl.Int32)
        for name, known in codes.items()
    ]
    changed = pl.sum_horizontal(LANDED)
    return all_runs.with_columns(
        *coded,
        t=pl.col("started_at").dt.epoch("s"),
        month=pl.col("started_at").dt.strftime("%Y-%m"),
        seconds=pl.col("seconds").round(1),
        changed=pl.when(pl.col("status") == PLANNED).then(PLANNED).otherwise(changed),
    ).select(*SHOWN, "month")


def _months(site: Path, rows: pl.DataFrame, months: set[str]) -> list[Path]:
    """Write each of these months' runs, and of those that have no file, as a script."""
    months = months | {month for month in rows["month"].unique() if not (site / f"runs-{month}.js").exists()}
    parts = {month: rows.filter(pl.col("month") == month).drop("month") for month in sorted(months)}
    made = [
        shards.put(site / f"runs-{month}.js", shards.script("runs", month, _columns(part)))
        for month, part in parts.items()
    ]
    return [path for path in made if path]


def _days(all_runs: pl.DataFrame, shops: list[dict[str, Any]]) -> pl.DataFrame:
    """One row a shop, job and day of the shop's zone: runs by status, units moved, the most in flight at once."""
    parts = [
        all_runs.filter(pl.col("shop") == shop["name"]).with_columns(
            shop=pl.lit(place), day=pl.col("started_at").dt.convert_time_zone(shop["zone"]).dt.strftime("%Y-%m-%d")
        )
        for place, shop in enumerate(shops)
    ]
    if not parts:
        return pl.DataFrame(schema=dict.fromkeys(["shop", "job", "day", *STATUSES], pl.Int64()))
    jobs = _jobs(all_runs)
    by = [(pl.col("status") == status).sum().alias(status) for status in STATUSES]
    sent = pl.col("status") != PLANNED
    moved = [pl.col(name).filter(sent).sum() for name in ("raised", "lowered")]
    return (
        pl.concat(parts)
        .with_columns(job=pl.col("job").replace_strict(jobs, list(range(len(jobs))), return_dtype=pl.Int32))
        .group_by("day", "shop", "job")
        .agg(*by, *moved, pl.max("in_flight").fill_null(0))
        .sort("day", "shop", "job")
    )


def _columns(frame: pl.DataFrame) -> dict[str, list[Any]]:
    return frame.to_dict(as_series=False)


def _forget(site: Path, number: int) -> None:
    """Remove the item files of an earlier, larger division."""
    for path in site.glob("items-*.js"):
        if int(path.stem.removeprefix("items-")) >= number:
            path.unlink()
