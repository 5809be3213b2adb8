"""The peer: the same pairs, targets, units in flight and differences, in the SQL of DuckDB.

The forms and members of the few locations are given to it, as to pandas. A quantity that is NaN is unreadable. It is
recognised by `isfinite`: on a Parquet file `isnan` is decided by the file's minimum and maximum, which leave NaN out
(duckdb/duckdb issue 25521); the world has no infinities. Messages of held rows are left out.
"""

from pathlib import Path

import duckdb
import polars as pl

from tests.bench import world

# Small tables are made once; the rows of product_facility are read from Parquet by each query, with what it needs.
WORLD = f"""
CREATE TYPE mode AS ENUM ('aggregate', 'physical');

CREATE MACRO online() AS {world.ONLINE}::BIGINT;

CREATE TABLE item AS
WITH listed AS (
    SELECT DISTINCT product_id, shopify_inventory_item_id::BIGINT AS inventory_item_id
    FROM 'shopify_shop_product.parquet'
), linked AS (
    SELECT
        *,
        count(*) OVER (PARTITION BY product_id) > 1 OR count(*) OVER (PARTITION BY inventory_item_id) > 1 AS is_ambiguous
    FROM listed
)
SELECT
    product_id,
    internal_name AS sku,
    min(inventory_item_id) AS inventory_item_id,
    CASE WHEN bool_or(is_ambiguous) THEN 'ambiguous_mapping' END AS fault
FROM 'product.parquet' LEFT JOIN linked USING (product_id)
GROUP BY ALL;

CREATE TABLE place AS
SELECT
    facility_id,
    own.location_id,
    member.facility_id IS NOT NULL AS feeds,
    coalesce(member.counts, false) AS counts,
    coalesce(member.rules, false) AS rules
FROM (FROM 'locations.parquet' WHERE form = 'physical') AS own
FULL JOIN 'members.parquet' AS member USING (facility_id);

CREATE VIEW stock AS
SELECT
    product_id,
    facility_id,
    computed_last_inventory_count AS sellable,
    last_inventory_count AS total,
    coalesce(minimum_stock, 0) AS minimum,
    allow_brokering IS DISTINCT FROM 'N' AS is_open
FROM 'product_facility.parquet';
"""

# Each macro takes the name of a table like `stock`, so that it also answers for a stock in which events are undone.
TARGETS = """
CREATE MACRO sums(stock) AS TABLE
SELECT
    product_id,
    sum(sellable) FILTER (counts AND is_open) AS sellable,
    sum(total) FILTER (counts AND is_open) AS total,
    sum(minimum) FILTER (rules) AS threshold,
    bool_or(NOT is_open) FILTER (rules) AS is_closed,
    bool_or(NOT isfinite(sellable)) FILTER (counts AND is_open) AS is_spoilt
FROM query_table(stock) JOIN place USING (facility_id)
WHERE feeds
GROUP BY product_id;

CREATE MACRO aggregates(stock) AS TABLE
WITH queued AS (
    SELECT product_id, sum(quantity) AS units FROM 'queue.parquet' GROUP BY product_id
)
SELECT
    inventory_item_id,
    product_id,
    sku,
    coalesce(fault, CASE WHEN is_spoilt THEN 'malformed' END) AS reason,
    coalesce(threshold, 0) + coalesce(units, 0) AS taken,
    coalesce(sellable, 0) - taken AS free,
    least(coalesce(sellable, 0), coalesce(total, 0)) - taken AS debt,
    coalesce(is_closed, false) OR coalesce(total, 0) < 0 AS sells_nothing
FROM item
SEMI JOIN query_table(stock) USING (product_id)
LEFT JOIN sums(stock) USING (product_id)
LEFT JOIN queued USING (product_id)
WHERE inventory_item_id IS NOT NULL;

CREATE MACRO targets(stock) AS TABLE
SELECT
    inventory_item_id,
    location_id,
    product_id,
    sku,
    'physical'::mode AS mode,
    sellable AS oms,
    NULL::DOUBLE AS debt
FROM query_table(stock) JOIN place USING (facility_id) JOIN item USING (product_id)
WHERE location_id IS NOT NULL AND inventory_item_id IS NOT NULL AND fault IS NULL AND isfinite(sellable)
UNION ALL
SELECT
    inventory_item_id,
    online(),
    product_id,
    sku,
    'aggregate'::mode,
    CASE WHEN sells_nothing THEN 0 ELSE greatest(free, 0) END,
    CASE WHEN debt < 0 THEN debt END
FROM aggregates(stock)
WHERE reason IS NULL;
"""

HELD = """
SELECT
    product_id,
    facility_id,
    inventory_item_id,
    coalesce(location_id, CASE WHEN feeds THEN online() END) AS location_id,
    sku,
    CASE
        WHEN inventory_item_id IS NULL THEN 'unmapped_product'
        WHEN location_id IS NULL AND feeds IS NULL THEN 'unmapped_location'
        WHEN fault IS NOT NULL THEN fault
        WHEN location_id IS NOT NULL AND NOT isfinite(sellable) THEN 'malformed'
        WHEN location_id IS NULL AND is_spoilt THEN 'malformed'
    END AS reason
FROM stock
LEFT JOIN item USING (product_id)
LEFT JOIN place USING (facility_id)
LEFT JOIN (SELECT product_id, is_spoilt FROM sums('stock')) USING (product_id)
WHERE reason IS NOT NULL
UNION ALL
SELECT product_id, NULL, inventory_item_id, online(), sku, reason
FROM aggregates('stock')
WHERE reason IS NOT NULL
"""

VARIANCES = """
WITH sold AS (
    SELECT
        order_id,
        inventory_item_id,
        product_id,
        location_id,
        facility_id,
        open + shipped AS units,
        facility_id IS NULL OR counts AS is_inside
    FROM 'orders.parquet'
    JOIN item USING (inventory_item_id)
    LEFT JOIN place USING (location_id)
    WHERE fault IS NULL
), booked AS (
    SELECT external_id AS order_id, product_id, facility_id, sum(units) AS booked
    FROM 'booked.parquet'
    GROUP BY ALL
), elsewhere AS (
    SELECT order_id, product_id, facility_id, sum(units) AS sold
    FROM sold
    WHERE NOT is_inside
    GROUP BY ALL
), booked_online AS (
    SELECT order_id, product_id, sum(greatest(booked - coalesce(sold, 0), 0)) AS booked
    FROM booked LEFT JOIN elsewhere USING (order_id, product_id, facility_id)
    GROUP BY ALL
), sold_online AS (
    SELECT order_id, inventory_item_id, product_id, sum(units) FILTER (is_inside) AS units
    FROM sold
    GROUP BY ALL
), sold_here AS (
    SELECT order_id, inventory_item_id, product_id, location_id, facility_id, sum(units) AS units
    FROM sold
    WHERE facility_id IS NOT NULL
    GROUP BY ALL
), owed AS (
    SELECT inventory_item_id, online() AS location_id, units, booked
    FROM sold_online LEFT JOIN booked_online USING (order_id, product_id)
    UNION ALL
    SELECT inventory_item_id, location_id, units, booked
    FROM sold_here LEFT JOIN booked USING (order_id, product_id, facility_id)
), in_flight AS (
    SELECT
        inventory_item_id,
        location_id,
        sum(ceil(greatest(coalesce(units, 0) - coalesce(booked, 0), 0)))::BIGINT AS units
    FROM owed
    GROUP BY ALL
)
SELECT
    wanted.*,
    available,
    is_active,
    tracked,
    requires_components,
    coalesce(units, 0) AS in_flight,
    0 AS set_aside,
    $buffer AS buffer,
    oms - coalesce(units, 0) AS free,
    round(greatest(free - $buffer, least(free, 0)), 6) AS target,
    round(target - available)::BIGINT AS delta
FROM targets('stock') AS wanted
LEFT JOIN 'levels.parquet' USING (inventory_item_id, location_id)
LEFT JOIN in_flight USING (inventory_item_id, location_id)
"""

UNDONE = """
CREATE TABLE stock_before AS
WITH moved AS (
    SELECT product_id, facility_id, sum(atp) AS moved
    FROM (SELECT DISTINCT event_id, product_id, facility_id, atp FROM 'free.parquet')
    GROUP BY ALL
)
SELECT
    product_id,
    facility_id,
    total - coalesce(moved, 0) AS total,
    CASE WHEN moved IS NULL THEN sellable ELSE greatest(total - moved - minimum, 0) END AS sellable,
    minimum,
    is_open
FROM stock LEFT JOIN moved USING (product_id, facility_id);
"""

NET = """
WITH explained AS (
    SELECT
        *,
        CASE
            WHEN physical_inventory_id IS NOT NULL OR reason = 'CYCLE_COUNT' THEN 'cycle_count_available'
            WHEN reason IN ('VAR_SHIP_RECV', 'VAR_SCH_SHIP_RECV') THEN 'received'
            WHEN reason = 'RTN_ITM_RCPT' THEN 'restock'
            ELSE 'correction'
        END AS shopify_reason
    FROM 'free.parquet'
), largest AS (
    SELECT inventory_item_id, location_id, first(shopify_reason ORDER BY abs(atp) DESC, event_id) AS shopify_reason
    FROM explained
    GROUP BY ALL
)
SELECT now.*, shopify_reason, round(now.oms - coalesce(was.oms, 0), 6) AS net
FROM targets('stock') AS now
JOIN largest USING (inventory_item_id, location_id)
LEFT JOIN targets('stock_before') AS was USING (inventory_item_id, location_id)
"""


def opened(folder: Path) -> duckdb.DuckDBPyConnection:
    """Return a database in memory that finds the Parquet files of this folder, with the targets of their stock."""
    database = duckdb.connect(config={"file_search_path": str(folder)})
    database.execute(WORLD)
    database.execute(TARGETS)
    return database


def held(database: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Return MAPPING_HELD without its messages."""
    return pl.DataFrame(database.sql(HELD))


def variances(database: duckdb.DuckDBPyConnection, *, buffer: int) -> pl.DataFrame:
    """Return VARIANCES without `held`, as `equation.variances`."""
    return pl.DataFrame(database.sql(VARIANCES, params={"buffer": buffer}))


def net_changes(database: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Return NET, as `delta.net_changes` where no event is claimed in part."""
    database.execute(UNDONE)
    return pl.DataFrame(database.sql(NET))
