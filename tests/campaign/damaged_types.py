"""A column of a Parquet file in another type than the table's."""

from collections.abc import Callable
from random import Random

import polars as pl
from campaign.damages import Damage, any_table
from campaign.drawn_worlds import World, kind
from campaign.exporters import PLAIN, parquet, typed


def types(rng: Random, world: World) -> Damage | None:
    """One column of a Parquet file in another type, or with another value of a type that can say it."""
    table = any_table(rng, world, PLAIN).name
    frame = typed(world, table)
    name = rng.choice([column for column in frame.columns if kind(column) != "text"])
    if kind(name) == "id" and frame[name].str.starts_with("0").any():
        return None  # as a number 007 is another legal id
    known = {"id": ID_TYPES, "stamp": STAMP_TYPES, "quantity": NUMBER_TYPES, "indicator": INDICATOR_TYPES}[kind(name)]
    word = rng.choice(list(known))
    try:
        changed = frame.with_columns(known[word](pl.col(name), world.zone).alias(name))
        content = parquet(changed)
    except pl.exceptions.PolarsError:
        return None
    if frame[name].null_count() == frame.height or changed[name].equals(frame[name]):
        return None
    return Damage(
        f"{kind(name)} as {word}",
        table,
        str(frame[name].dtype),
        str(changed[name].dtype),
        {f"{table}.parquet": content},
        name,
    )


Typing = dict[str, Callable[[pl.Expr, str], pl.Expr]]
ID_TYPES: Typing = {
    "Float64": lambda c, _: c.cast(pl.Float64),
    "Int64": lambda c, _: c.cast(pl.Int64),
    "Binary": lambda c, _: c.cast(pl.Binary),
    "Decimal": lambda c, _: c.cast(pl.Decimal(20, 0)),
    "Categorical": lambda c, _: c.cast(pl.Categorical),
    "NaN for null": lambda c, _: c.cast(pl.Float64).fill_null(float("nan")),
}
STAMP_TYPES: Typing = {
    "Datetime ms": lambda c, _: c.cast(pl.Datetime("ms")),
    "Datetime ns": lambda c, _: c.cast(pl.Datetime("ns")),
    "Datetime UTC": lambda c, zone: c.dt.replace_time_zone(zone).dt.convert_time_zone("UTC"),
    "Datetime Asia/Tokyo": lambda c, zone: c.dt.replace_time_zone(zone).dt.convert_time_zone("Asia/Tokyo"),
    "epoch milliseconds": lambda c, zone: c.dt.replace_time_zone(zone).dt.epoch("ms"),
    "text": lambda c, _: c.dt.to_string("iso"),
    "American text": lambda c, _: c.dt.strftime("%m/%d/%Y %H:%M"),
    "Time": lambda c, _: c.dt.time(),
    "Duration": lambda c, _: c - pl.datetime(1970, 1, 1),
    "serial": lambda c, _: (c - pl.datetime(1899, 12, 30)).dt.total_seconds() / 86400,
}
NUMBER_TYPES: Typing = {
    "Int64": lambda c, _: c.cast(pl.Int64),
    "Float32": lambda c, _: c.cast(pl.Float32),
    "Decimal": lambda c, _: c.cast(pl.Decimal(26, 6)),
    "text": lambda c, _: c.cast(pl.Int64).cast(pl.String),
    "text with a comma": lambda c, _: c.cast(pl.Int64).cast(pl.String) + ",0",
    "infinity": lambda c, _: pl.when(c.is_not_null()).then(pl.lit(float("inf"))),
    "Binary": lambda c, _: c.cast(pl.String).cast(pl.Binary),
    "NaN for null": lambda c, _: c.fill_null(float("nan")),
    "List": lambda c, _: pl.concat_list(c),
}
INDICATOR_TYPES: Typing = {
    "Boolean": lambda c, _: c == "Y",
    "Int8": lambda c, _: (c == "Y").cast(pl.Int8),
    "Categorical": lambda c, _: c.cast(pl.Categorical),
    "Binary": lambda c, _: c.cast(pl.Binary),
    "true/false": lambda c, _: (c == "Y").cast(pl.String),
}
