"""The peer: the same pairs, targets, units in flight and differences, with the merges and groups of pandas.

The forms and members of the few locations are given to it. It reads NaN and null alike, so a missing quantity
counts as unreadable; the world has no nulls there. Messages of held rows are left out.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from invsync import delta, tables
from tests.bench import world

KEY = tables.KEY
SELLABLE, TOTAL = "computed_last_inventory_count", "last_inventory_count"
PHYSICAL = ["facility_id", "location_id"]
MODE = pd.CategoricalDtype(tables.MODE.categories.to_list())
HELD = [name for name in tables.MAPPING_HELD if name != "message"]
TARGETS = list(tables.TARGETS)


def read(folder: Path, name: str, columns: list[str] | None = None) -> pd.DataFrame:
    """A table of this folder, with the columns that matter; flags that may be null in a type of their own, not as objects."""
    kinds = {pa.bool_(): pd.BooleanDtype()}
    return pq.read_table(folder / f"{name}.parquet", columns=columns or world.USED.get(name)).to_pandas(
        types_mapper=kinds.get
    )


def items(folder: Path) -> pd.DataFrame:
    """One row a product: product_id, sku, inventory_item_id (null where it is not on Shopify), fault."""
    rows = read(folder, "shopify_shop_product", ["product_id", "shopify_inventory_item_id"]).drop_duplicates()
    rows = rows.assign(inventory_item_id=pd.to_numeric(rows["shopify_inventory_item_id"]))
    twice = rows["product_id"].duplicated(keep=False) | rows["inventory_item_id"].duplicated(keep=False)
    rows["fault"] = np.where(twice, "ambiguous_mapping", None)
    one = rows.groupby("product_id", as_index=False).agg({"inventory_item_id": "min", "fault": "first"})
    sku = read(folder, "product").rename(columns={"internal_name": "sku"})
    return sku.merge(one, on="product_id", how="left")


def placed(folder: Path) -> pd.DataFrame:
    """product_facility beside its item, its own location, and how its facility feeds the online one."""
    named = read(folder, "locations")
    own = named.loc[named["form"] == "physical", PHYSICAL]
    feeds = read(folder, "members").drop(columns=["location_id", "ever"])
    places = own.merge(feeds, on="facility_id", how="outer", indicator="of")
    places["feeds"] = places.pop("of") != "left_only"
    places[["counts", "rules"]] = places[["counts", "rules"]].fillna(False).astype(bool)
    rows = read(folder, "product_facility").merge(items(folder), on="product_id", how="left")
    return rows.merge(places, on="facility_id", how="left")


def pairs(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Placed rows with a location of their own that may be sent, products that may be sent online, MAPPING_HELD."""
    unreadable = rows[SELLABLE].isna()
    open_ = rows["allow_brokering"] != "N"
    spoilt = rows.loc[rows["counts"].eq(True) & open_ & unreadable, "product_id"].unique()
    own, here = rows["location_id"].notna(), rows["feeds"].eq(True)
    bad = (own & unreadable) | (~own & rows["product_id"].isin(spoilt))
    unmapped, nowhere, fault = rows["inventory_item_id"].isna(), ~own & ~here, rows["fault"].notna()
    free = ~(unmapped | nowhere | fault | bad)
    wrong = rows[~free].copy()
    wrong["reason"] = np.select(
        [unmapped[~free], nowhere[~free], fault[~free]],
        ["unmapped_product", "unmapped_location", "ambiguous_mapping"],
        default="malformed",
    )
    wrong.loc[~own[~free] & here[~free], "location_id"] = world.ONLINE
    online = rows.loc[~unmapped, ["product_id", "inventory_item_id", "sku", "fault"]].drop_duplicates()
    online = online.assign(location_id=world.ONLINE, facility_id=None)
    spoils = online["product_id"].isin(spoilt)
    held = online[online["fault"].notna() | spoils]
    held = held.assign(reason=held["fault"].fillna("malformed"))
    whole = {"inventory_item_id": "int64", "location_id": "int64"}
    sent = online[online["fault"].isna() & ~spoils]
    return rows[free & own].astype(whole), sent.astype(whole), pd.concat([wrong[HELD], held[HELD]])


def targets(own: pd.DataFrame, online: pd.DataFrame, rows: pd.DataFrame, queue: pd.DataFrame) -> pd.DataFrame:
    """TARGETS of these pairs from the placed rows."""
    physical = own.rename(columns={SELLABLE: "oms"}).assign(
        mode=pd.Categorical.from_codes([1] * len(own), dtype=MODE), debt=np.nan
    )
    counted = rows[rows["counts"].eq(True) & (rows["allow_brokering"] != "N")]
    sums = counted.groupby("product_id")[[SELLABLE, TOTAL]].sum()
    rules = rows[rows["rules"].eq(True)].set_index("product_id")
    asked = queue.groupby("product_id")["quantity"].sum()
    atp = online.join(sums, on="product_id").fillna({SELLABLE: 0.0, TOTAL: 0.0})
    less = [atp["product_id"].map(part).fillna(0.0) for part in (rules["minimum_stock"], asked)]
    shut = atp["product_id"].map(rules["allow_brokering"]).eq("N") | (atp[TOTAL] < 0)
    total = atp[[SELLABLE, TOTAL]].min(axis=1) - less[0] - less[1]
    atp["debt"] = total.where(total < 0)
    atp["oms"] = (atp[SELLABLE] - less[0] - less[1]).clip(lower=0.0).mask(shut, 0.0)
    atp["mode"] = pd.Categorical.from_codes([0] * len(atp), dtype=MODE)
    return pd.concat([physical[TARGETS], atp[TARGETS]], ignore_index=True)


def in_flight(folder: Path, wanted: pd.DataFrame) -> pd.DataFrame:
    """Units by pair that orders have sold and the OMS has not booked."""
    named, members = read(folder, "locations"), read(folder, "members")
    own = named.loc[named["form"] == "physical", PHYSICAL]
    product = wanted[["inventory_item_id", "product_id"]].drop_duplicates()
    sold = read(folder, "orders").merge(product, on="inventory_item_id").merge(own, on="location_id", how="left")
    sold["units"] = sold["open"] + sold["shipped"]
    booked = read(folder, "booked").rename(columns={"external_id": "order_id", "units": "booked"})
    line, key = ["order_id", "product_id"], ["order_id", "inventory_item_id", "product_id"]
    booked = booked.groupby([*line, "facility_id"], as_index=False, dropna=False)["booked"].sum()
    inside = sold["facility_id"].isna() | sold["facility_id"].isin(members.loc[members["counts"], "facility_id"])
    out = sold[~inside].groupby([*key, "facility_id"], as_index=False)["units"].sum().rename(columns={"units": "out"})
    online = sold.assign(units=sold["units"].where(inside, 0)).groupby(key, as_index=False)["units"].sum()
    taken = online[key].merge(booked, on=line).merge(out, on=[*key, "facility_id"], how="left")
    taken["booked"] = (taken["booked"] - taken["out"].fillna(0)).clip(lower=0)
    online = online.merge(taken.groupby(key, as_index=False)["booked"].sum(), on=key, how="left")
    online = online.assign(location_id=world.ONLINE)
    online = online[online["inventory_item_id"].isin(wanted.loc[wanted["mode"] == "aggregate", "inventory_item_id"])]
    here = (
        sold.dropna(subset="facility_id").groupby([*key, "location_id", "facility_id"], as_index=False)["units"].sum()
    )
    here = here.merge(wanted.loc[wanted["mode"] == "physical", KEY], on=KEY)
    here = here.merge(booked, on=[*line, "facility_id"], how="left")
    both = pd.concat([online, here])
    both["units"] = np.ceil((both["units"] - both["booked"].fillna(0.0)).clip(lower=0.0))
    return both.groupby(KEY, as_index=False)["units"].sum()


def variances(wanted: pd.DataFrame, levels: pd.DataFrame, flight: pd.DataFrame, *, buffer: int) -> pd.DataFrame:
    """VARIANCES without `held`, as `equation.variances`."""
    merged = wanted.merge(levels, on=KEY, how="left").merge(
        flight.rename(columns={"units": "in_flight"}), on=KEY, how="left"
    )
    merged["in_flight"] = merged["in_flight"].fillna(0)
    merged["set_aside"], merged["buffer"] = 0, buffer
    free = merged["oms"] - merged["in_flight"]
    merged["target"] = np.maximum(free - buffer, np.minimum(free, 0.0)).round(6)
    merged["delta"] = (merged["target"] - merged["available"]).round(0)
    return merged


def net_changes(
    free: pd.DataFrame, own: pd.DataFrame, online: pd.DataFrame, rows: pd.DataFrame, queue: pd.DataFrame
) -> pd.DataFrame:
    """NET, as `delta.net_changes` where no event is claimed in part."""
    now = targets(own, online, rows, queue).merge(free[KEY].drop_duplicates(), on=KEY)
    was = targets(_undone(own, free), online, _undone(rows, free), queue)[[*KEY, "oms"]].rename(columns={"oms": "was"})
    merged = now.merge(was, on=KEY, how="left").merge(_reasons(free), on=KEY, how="left")
    return merged.assign(net=(merged["oms"] - merged["was"].fillna(0.0)).round(6))


def _undone(rows: pd.DataFrame, free: pd.DataFrame) -> pd.DataFrame:
    at = ["product_id", "facility_id"]
    moved = free.drop_duplicates("event_id").groupby(at, as_index=False)["atp"].sum().rename(columns={"atp": "moved"})
    merged = rows.merge(moved, on=at, how="left")
    last = merged[TOTAL] - merged["moved"]
    minimum = merged["minimum_stock"].fillna(0.0)
    computed = np.where(last >= minimum, last - minimum, 0.0)
    touched = merged["moved"].notna()
    return merged.assign(
        **{TOTAL: last.where(touched, merged[TOTAL]), SELLABLE: merged[SELLABLE].mask(touched, computed)}
    )


def _reasons(free: pd.DataFrame) -> pd.DataFrame:
    reasons = free["reason"].map(delta.SHOPIFY_REASONS).fillna("correction")
    reasons = reasons.mask(free["physical_inventory_id"].notna(), delta.COUNTED)
    ranked = free.assign(shopify_reason=reasons, size=free["atp"].abs())
    ordered = ranked.sort_values(["size", "event_id"], ascending=[False, True])
    return ordered.drop_duplicates(KEY)[[*KEY, "shopify_reason"]]
