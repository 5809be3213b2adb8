"""What shadow mode saw another sync do, as figures and two tables (BY_LEVEL with the columns of PRODUCTS)."""

from typing import Any

import polars as pl

from invsync import charts, shadow
from invsync.report import money
from invsync.report.facts import Figure
from invsync.report.markup import Column, Html, macro
from invsync.report.rows import ITEM, PLACE, bounded, labelled, product


def watched(levels: pl.DataFrame, *, days: int) -> Html:
    """The figures of the last days: sold units put back, levels wrong ever and now, and for how long."""
    totals, reader = shadow.totals(levels), charts.reader()
    amount = worth_put_back(levels)
    worth = f", worth {reader.money(amount, currency(levels))}" if amount else ""
    raises = f"by {reader.many(totals.times, 'raise')}{worth}" if totals.put_back else ""
    shown = [
        Figure("Sold units put back on sale", reader.number(totals.put_back), raises, totals.put_back > 0),
        Figure("Levels that were wrong", reader.number(totals.levels_wrong), f"in the last {reader.many(days, 'day')}"),
        Figure("Wrong now", reader.number(totals.wrong_now), "when the last look was taken", totals.wrong_now > 0),
        Figure("Longest wrong", hours(totals.longest), f"{hours(totals.hours)} over all levels"),
    ]
    words = "; ".join(f"{each.name}: {each.value}" for each in shown)
    return Html(macro("tiles", shown), f"{words}.")


def put_back(levels: pl.DataFrame, locations: pl.DataFrame | None = None, *, limit: int = 25) -> Html:
    """The products whose sold units were put back on sale, the most units first."""
    rows = labelled(money.described(levels).filter(pl.col("put_back") > 0), locations)
    columns = [ITEM, PLACE, Column("Units put back", "n"), Column("Times", "n"), Column("Worth", "n")]
    reader, unit = charts.reader(), currency(levels)

    def line(row: dict[str, Any]) -> list[str]:
        amount = None if row["price"] is None else row["put_back"] * row["price"]
        return [
            product(row),
            row["label"],
            reader.number(row["put_back"]),
            reader.number(row["times"]),
            reader.money(amount, unit),
        ]

    return bounded("Sold units put back on sale", columns, rows, line, "No sold unit was put back on sale.", limit)


def wrong_levels(levels: pl.DataFrame, locations: pl.DataFrame | None = None, *, limit: int = 25) -> Html:
    """The levels that were wrong for longest, with how far each is off now."""
    rows = labelled(levels.filter(pl.col("episodes") > 0), locations).sort(
        "hours", "item", "label", descending=[True, False, False]
    )
    columns = [ITEM, PLACE, Column("Wrong for", "n"), Column("Times", "n"), Column("Off now, units", "n")]
    reader = charts.reader()

    def line(row: dict[str, Any]) -> list[str]:
        off = reader.number(row["off"], signed=True) if row["is_wrong"] else "right now"
        return [product(row), row["label"], hours(row["hours"]), reader.number(row["episodes"]), off]

    return bounded("Levels that stayed wrong", columns, rows, line, "No level was wrong at any look.", limit)


def worth_put_back(levels: pl.DataFrame) -> float:
    """What the units put back are worth at Shopify's prices, of those whose price is known."""
    return float(money.described(levels).select((pl.col("put_back") * pl.col("price")).sum()).item())


def currency(levels: pl.DataFrame) -> str:
    """The ISO code of the shop's currency; empty where no price is known."""
    known = money.described(levels)["currency"].drop_nulls()
    return str(known[0]) if known.len() else ""


def hours(value: float) -> str:
    """A span in minutes, hours or days, as a person would say it."""
    number = charts.reader().number
    if value < 1:
        return f"{number(round(60 * value))} min"
    return f"{number(round(value, 1))} h" if value < 48 else f"{number(round(value / 24, 1))} days"
