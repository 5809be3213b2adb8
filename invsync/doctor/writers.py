"""Find out whether HotWax itself sends stock to Shopify too."""

import polars as pl

from invsync.doctor.checks import Asked, texts
from invsync.doctor.findings import Answer, some
from invsync.oms import Lacking

SERVICES = "ShopifyInventoryFeed|InventoryDeltaFeed|ShopifyInventoryAdjustment|InventoryChannelInventory|ResetInventory"
JOBS = ["JOB_UL_INV", "UL_RCNT_INV", "JOB_ADJ_INV"]


def other_writers(asked: Asked) -> Answer:
    """Which of HotWax's own jobs and switches that send stock to Shopify are on."""
    writers, unseen = [], []
    for active in (_service_jobs, _jobs, _real_time):
        try:
            writers += active(asked)
        except Lacking as lack:
            unseen.append(str(lack))
    if writers:
        return "warning", (
            f"HotWax itself sends stock to Shopify too ({len(writers)}): {some(sorted(writers))}; pause what is "
            "this shop's, or each undoes what the other sent."
        )
    if unseen:
        return "ok", (
            f"None is seen, but this HotWax shows no {', no '.join(unseen)}: look there yourself that none of its "
            "own jobs sends stock to this shop."
        )
    return "ok", "None of HotWax's own jobs that send stock to Shopify is on."


def _service_jobs(asked: Asked) -> list[str]:
    schema = texts("job_name", "service_name", "paused")
    sends = pl.concat_str("job_name", "service_name", separator=" ", ignore_nulls=True).str.contains(SERVICES)
    on = pl.col("paused").fill_null("N") != "Y"
    return [f"job {name}" for name in asked.rows("service_job", schema).filter(sends, on)["job_name"]]


def _jobs(asked: Asked) -> list[str]:
    schema = texts("job_name", "system_job_enum_id", "status_id")
    rows = asked.rows("job_sandbox", schema, {"status_id": ["SERVICE_PENDING"]})
    sends = rows.filter(pl.col("system_job_enum_id").is_in(JOBS))
    return [f"job {name or enum}" for name, enum in sends.select("job_name", "system_job_enum_id").unique().iter_rows()]


def _real_time(asked: Asked) -> list[str]:
    shop = asked.shop.oms.shop_id
    schema = texts("shop_id", "real_time_inventory_push")
    rows = asked.rows("shopify_shop", schema, {"shop_id": [shop]})
    on = rows.filter(pl.col("real_time_inventory_push") == "Y")
    return [f"the real-time push of shop {shop}"] if on.height else []
