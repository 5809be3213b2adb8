"""What shadow mode saw another sync do, as figures and two tables (BY_LEVEL with the columns of PRODUCTS)."""

from typing import Any

import polars as pl

from invsync import charts, shadow
from invsync.report import money, remediation
from invsync.report.facts import Figure
from invsync.report.markup import Column, Html, macro
from invsync.report.rows import ITEM, PLACE, bounded, product


def watched(levels: pl.DataFrame, *, days: int) -> Html:
    """The figures of the last days: sold units put back on sale, levels wrong ever and now, and for how long."""
    shown = figures(levels, days)
    return Html(macro("tiles", shown), "; ".join(f"{each.name}: {each.value}" for each in shown) + ".")


def sentence(levels: pl.DataFrame, days: int) -> str:
    """What the other sync did in the last days, in one sentence."""
    totals, reader = shadow.totals(levels), charts.reader()
    units = reader.many(totals.put_back, "sold unit") if totals.put_back else "no sold unit"
    wrong = reader.many(totals.wrong_now, "level") if totals.wrong_now else "no level"
    are = "are" if totals.wrong_now > 1 else "is"
    return f"In the last {span(days)} another sync put {units} back on sale; {wrong} {are} wrong now."


def figures(levels: pl.DataFrame, days: int) -> list[Figure]:
    """The figures of the last days, ready to read."""
    totals, reader = shadow.totals(levels), charts.reader()
    amount = worth_put_back(levels)
    worth = f", worth {reader.money(amount, currency(levels))}" if amount else ""
    raises = f"by {reader.many(totals.times, 'raise')}{worth}" if totals.put_back else ""
    return [
        Figure("Sold units put back on sale", reader.number(totals.put_back), raises, totals.put_back > 0),
        Figure("Levels that were wrong", reader.number(totals.levels_wrong), f"in the last {span(days)}"),
        Figure("Wrong now", reader.number(totals.wrong_now), "when the last look was taken", totals.wrong_now > 0),
        Figure("Longest wrong", hours(totals.longest), f"{hours(totals.hours)} over all levels"),
    ]


def put_back(levels: pl.DataFrame, locations: pl.DataFrame | None = None, *, limit: int = 25) -> Html:
    """The products whose sold units were put back on sale, the most units first."""
    rows = described(levels.filter(pl.col("put_back") > 0), locations)
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
    rows = described(levels.filter(pl.col("episodes") > 0), locations)
    rows = rows.sort("hours", "item", "label", descending=[True, False, False])
    columns = [ITEM, PLACE, Column("Wrong for", "n"), Column("Times", "n"), Column("Off now, units", "n")]
    reader = charts.reader()

    def line(row: dict[str, Any]) -> list[str]:
        off = reader.number(row["off"], signed=True) if row["is_wrong"] else "0"
        return [product(row), row["label"], hours(row["hours"]), reader.number(row["episodes"]), off]

    return bounded("Levels that stayed wrong", columns, rows, line, "No level was wrong at any look.", limit)


def described(levels: pl.DataFrame, locations: pl.DataFrame | None) -> pl.DataFrame:
    """The rows with the columns of PRODUCTS, and `name`, `item` and `label`: what people call them."""
    return charts.named(charts.titled(money.described(levels)), locations).with_columns(item=remediation.item())


def worth_put_back(levels: pl.DataFrame) -> float:
    """What the units put back are worth at Shopify's prices, of those whose price is known."""
    return float(money.described(levels).select((pl.col("put_back") * pl.col("price")).sum()).item())


def currency(levels: pl.DataFrame) -> str:
    """The ISO code of the shop's currency; empty where no price is known."""
    known = money.described(levels)["currency"].drop_nulls()
    return str(known[0]) if known.len() else ""


def span(days: int) -> str:
    """So many days, in words."""
    return "24 hours" if days == 1 else f"{charts.reader().number(days)} days"


def hours(value: float) -> str:
    """A span in minutes, hours or days, as a person would say it."""
    number = charts.reader().number
    if value < 1:
        return f"{number(round(60 * value))} min"
    return f"{number(round(value, 1))} h" if value < 48 else f"{number(round(value / 24, 1))} days"
