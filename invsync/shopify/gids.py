"""Shopify's global ids."""

ITEM, LOCATION = "gid://shopify/InventoryItem/", "gid://shopify/Location/"


def number(gid: str) -> int:
    """Return the number at the end of a gid."""
    return int(gid.rsplit("/", 1)[1].split("?", 1)[0])
