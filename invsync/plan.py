"""Which variances are sent, which are held and why, and when the whole run must stop.

Every rule is a named expression; a row is held for the first rule that is true of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from invsync import tables
from invsync.config.settings import Guards
from invsync.errors import GuardStopped

LARGEST_DELTA = 2_000_000_000
LARGEST_TARGET = 1_000_000_000
SEVERAL = 3  # pairs: that one or two sell out is no fault


def malformed() -> pl.Expr:
    """A value that makes up the OMS's number, or what it was before its events, cannot be read."""
    return pl.col("oms").is_nan() | pl.col("target").is_nan()


def no_oms_row() -> pl.Expr:
    """The OMS holds no row or no number for the pair; a missing row is not zero."""
    return pl.col("oms").is_null()


def unknown_item() -> pl.Expr:
    """Shopify does not know the inventory item or the location."""
    return pl.col("tracked").is_null()


def bundle() -> pl.Expr:
    """The item is a bundle parent: Shopify computes its quantity from its components."""
    return pl.col("requires_components").fill_null(False)


def untracked() -> pl.Expr:
    """Shopify does not track the item's quantity."""
    return ~pl.col("tracked").fill_null(True)


def fractional() -> pl.Expr:
    """The target is not a whole number of units."""
    return pl.col("target") != pl.col("target").round(0)


def too_large() -> pl.Expr:
    """The target or the delta is beyond Shopify's limits."""
    return (pl.col("target").abs() > LARGEST_TARGET) | (pl.col("delta").abs() > LARGEST_DELTA)


def inactive_level() -> pl.Expr:
    """The level is inactive or missing at the location; benign while nothing should be there."""
    return ~pl.col("is_active").fill_null(False) | pl.col("available").is_null()


def activated() -> pl.Expr:
    """The level is inactive or missing, and something is to be sold there: it can be activated and filled."""
    return inactive_level() & (pl.col("target") > 0).fill_null(False)


RULES = (malformed, no_oms_row, unknown_item, bundle, untracked, fractional, too_large, inactive_level)


def held_reason(*, activate: bool = False) -> pl.Expr:
    """The name of the first rule that holds the row; null when it may be sent."""
    holds = [(rule.__name__, rule().fill_null(False)) for rule in RULES]
    if activate:
        holds[-1] = (inactive_level.__name__, inactive_level() & ~activated())
    return pl.coalesce([pl.when(held).then(pl.lit(name)) for name, held in holds])


@dataclass(frozen=True)
class Plan:
    """The rows to send in order of risk, the rows that are right already, and the rows held by name."""

    adjustments: pl.DataFrame
    already_right: pl.DataFrame
    held: pl.DataFrame


def decide(variances: pl.DataFrame, *, activate: bool = False) -> Plan:
    """Split VARIANCES: riskiest (smallest target) first among what is sent, nothing dropped.

    With `activate`, an inactive level that should sell something is sent too; a missing one counts as 0 available.
    """
    rows = judged(tables.checked(variances, tables.VARIANCES, "variances"), activate=activate)
    adjustments, held = split(rows.filter(~is_right()))
    return Plan(adjustments, rows.filter(is_right()), held)


def judged(variances: tables.Rows, *, activate: bool) -> tables.Rows:
    """VARIANCES with the reason why each row is held, if it is."""
    if activate:
        missing = activated() & pl.col("available").is_null()
        variances = variances.with_columns(
            available=pl.when(missing).then(0).otherwise("available"),
            delta=pl.when(missing).then(pl.col("target").round(0)).otherwise("delta").cast(pl.Int64, strict=False),
        )
    return variances.with_columns(held=pl.coalesce(pl.col("held"), held_reason(activate=activate)))


def is_right() -> pl.Expr:
    """The row is neither held nor changes anything."""
    return pl.col("held").is_null() & (pl.col("delta") == 0).fill_null(False) & ~activated()


def split(rest: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows to send in order of risk, and the rows held."""
    is_held = pl.col("held").is_not_null()
    return rest.filter(~is_held).sort("target", "inventory_item_id", "location_id"), rest.filter(is_held)


@dataclass(frozen=True)
class Guarded:
    """One guard's number beside its limit, for run.json."""

    name: str
    value: float
    limit: float
    stopped: bool

    def sentence(self) -> str:
        """What the guard found, in words."""
        return f"{self.name} is {self.value:g} against the limit {self.limit:g}"


def is_zeroed() -> pl.Expr:
    """The pair sells now and would not after the change."""
    return (pl.col("target") <= 0) & (pl.col("available") > 0)


OF_SENDING = ("max_changed_share", "max_units")  # guards against what would be sent, not against what was read


def guards(
    adjustments: pl.DataFrame,
    limits: Guards,
    *,
    mapped: int,
    rows: int,
    rows_before: int | None,
    targets: int,
    targets_before: int | None,
    selling: int,
) -> list[Guarded]:
    """Every guard with its number: shares are over all `mapped` pairs, rows against the last finished run.

    A shop below `min_pairs`, which the shares do not guard, stops where all of its `selling` pairs would go to zero.
    """
    zeroed = adjustments.filter(is_zeroed()).height
    emptied = mapped < limits.min_pairs and zeroed >= SEVERAL and zeroed == selling
    changed, units = adjustments.height, int(adjustments["delta"].abs().sum())
    shares = [row / before for row, before in ((rows, rows_before), (targets, targets_before)) if before]
    return [
        _share("max_zeroed_share", zeroed, mapped, limits.max_zeroed_share, limits.min_pairs),
        _share("max_changed_share", changed, mapped, limits.max_changed_share, limits.min_pairs),
        Guarded("max_units", units, limits.max_units, units > limits.max_units),
        Guarded(
            "min_rows_share",
            min(shares, default=1.0),
            limits.min_rows_share,
            min(shares, default=1.0) < limits.min_rows_share,
        ),
        *([Guarded("selling_pairs_left", 0, 1, True)] if emptied else []),
    ]


def _share(name: str, part: int, whole: int, limit: float, floor: int) -> Guarded:
    share = part / whole if whole else 0.0
    return Guarded(name, round(share, 4), limit, part >= floor and share > limit)


def enforce(guarded: list[Guarded], facts: Mapping[str, int]) -> None:
    """Stop the run when a guard says so, with the numbers."""
    stopped = [guard.sentence() for guard in guarded if guard.stopped]
    if stopped:
        numbers = ", ".join(f"{name} {value}" for name, value in facts.items())
        raise GuardStopped(
            f"Nothing was sent: {'; '.join(stopped)} ({numbers}); check the OMS, or raise the limit in [guards]."
        )
