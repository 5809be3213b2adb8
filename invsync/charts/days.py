"""Charts by day: the drift that runs found, and the units that they kept off sale."""

from typing import Any

import polars as pl

from invsync.charts.sentence import Chart, sentence
from invsync.charts.theme import LOWERED, PROTECTED, RAISED, reader


def drift(days: pl.DataFrame) -> Chart:
    """Units raised and lowered by day; `day`, `raised` and `lowered`, one row a day."""
    if not days.select((pl.col("raised") + pl.col("lowered")).sum()).item():
        return sentence("No unit had to be moved: Shopify was right whenever a run looked.")
    sides = [(pl.col("raised"), "Raised"), (-pl.col("lowered"), "Lowered")]
    rows = pl.concat([days.select("day", value=value, colour=pl.lit(name)) for value, name in sides])
    raised, lowered = (reader().number(int(days[name].sum())) for name in ("raised", "lowered"))
    words = f"Units that were wrong in Shopify when a run looked, by day: {raised} raised, {lowered} lowered."
    colours = {"Raised": RAISED, "Lowered": LOWERED}
    there = {name: colours[name] for value, name in sides if days.select((value != 0).any()).item()}
    return _drawn(rows, days, there, f"{raised} units raised, {lowered} lowered", words)


def protected(days: pl.DataFrame) -> Chart:
    """Units newly in flight, and so kept off sale, by day; `day` and `protected`, one row a day."""
    total = int(days["protected"].sum())
    if not total:
        return sentence("No order was in flight when a run looked, so nothing had to be kept off sale.")
    words = f"Sold units that were kept off sale, by day: {reader().number(total)} in all."
    rows = days.select("day", value="protected", colour=pl.lit("Kept off sale"))
    return _drawn(rows, days, {"Kept off sale": PROTECTED}, f"{reader().many(total, 'sold unit')} kept off sale", words)


def _drawn(rows: pl.DataFrame, days: pl.DataFrame, colours: dict[str, str], title: str, words: str) -> Chart:
    from invsync.charts import bars  # late: it imports Altair

    values, labels = [_bar(row) for row in rows.to_dicts() if row["value"]], [reader().day(day) for day in days["day"]]
    drawn = bars.by_day(values, "Units", days=labels, colours=colours, legend=PROTECTED not in colours.values())
    return drawn.properties(title=title, description=words)


def _bar(row: dict[str, Any]) -> dict[str, Any]:
    label = reader().day(row["day"])
    return {"value": row["value"], "colour": row["colour"], "label": label, "words": _words(row)}


def _words(row: dict[str, Any]) -> str:
    return f"{reader().day(row['day'])}; {reader().many(abs(row['value']), 'unit')}; {row['colour'].lower()}"
