"""What the units of a run are worth, at Shopify's prices."""

from dataclasses import dataclass

import polars as pl

from invsync import charts, tables
from invsync.vocabulary import GUARD, LANDED, PLANNED, is_fault


@dataclass(frozen=True)
class Worth:
    """Amounts in one currency: units raised, lowered and kept off sale, and what is at risk.

    At risk are the pairs that need a person: `oversold` is what Shopify offers there beyond what it should, `hidden`
    what it should offer and does not. `unvalued` of these pairs have no price or no number that they should show.
    """

    currency: str
    raised: float
    lowered: float
    protected: float
    oversold: float
    hidden: float
    unvalued: int

    @property
    def at_risk(self) -> float:
        """What Shopify offers too much and too little, over the pairs that need a person."""
        return self.oversold + self.hidden


NOTHING = Worth("", 0.0, 0.0, 0.0, 0.0, 0.0, 0)


def described(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with the columns of PRODUCTS, null where they had none."""
    missing = {name: dtype for name, dtype in tables.PRODUCTS.items() if name not in rows.columns}
    return rows.with_columns(pl.lit(None, dtype=dtype).alias(name) for name, dtype in missing.items())


def priced(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows (OUTCOMES or VARIANCES) with the columns of PRODUCTS, and `gap`: units shown beyond the target."""
    rows = described(rows)
    shown = pl.coalesce("after", "available") if "after" in rows.columns else pl.col("available")
    return rows.with_columns(gap=shown - pl.col("target"))


def needs_you() -> pl.Expr:
    """Whether a row is a fault of its own; what a guard held is none."""
    return is_fault() & pl.col("reason").ne_missing(GUARD)


def worth(rows: pl.DataFrame) -> Worth | None:
    """What the units of these rows are worth; None where no price is known."""
    known = rows["currency"].drop_nulls()
    if known.is_empty() or rows["price"].count() == 0:
        return None
    rows = charts.classed(rows)
    changed = rows.filter(pl.col("outcome").is_in([*LANDED, PLANNED]))
    faults = rows.filter(needs_you())
    return Worth(
        currency=str(known[0]),
        raised=_sum(changed, pl.col("delta").clip(lower_bound=0)),
        lowered=_sum(changed, -pl.col("delta").clip(upper_bound=0)),
        protected=_sum(rows, pl.col("in_flight")),
        oversold=_sum(faults, pl.col("gap").clip(lower_bound=0)),
        hidden=_sum(faults, -pl.col("gap").clip(upper_bound=0)),
        unvalued=faults.filter(pl.col("gap").is_null() | pl.col("price").is_null()).height,
    )


def _sum(rows: pl.DataFrame, units: pl.Expr) -> float:
    return float(rows.select((units * pl.col("price")).sum()).item())
