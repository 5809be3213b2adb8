"""Products as a merchant would describe them, made of the descriptions and prices in real sales."""

from collections.abc import Sequence
from itertools import takewhile
from string import capwords

import polars as pl

from invsync.sandbox.shop import Description, Product

FIRST_PRODUCT = 7_000_000_000_001
IMAGES = "https://cdn.example/files"
OTHER = ("Gifts", "Home & Garden > Decor")
KINDS = {  # words of a title, the product type that they mean, and its category in Shopify's taxonomy
    ("bag", "purse", "shopper"): ("Bags", "Luggage & Bags"),
    ("candle", "t-light", "light", "lights", "lantern", "lamp"): ("Lighting", "Home & Garden > Lighting"),
    ("mug", "cup", "bowl", "plate", "tin", "jar", "cutlery", "teapot"): ("Kitchen", "Home & Garden > Kitchen & Dining"),
    ("cake", "cakestand", "tray", "apron", "baking", "jam"): ("Kitchen", "Home & Garden > Kitchen & Dining"),
    ("card", "wrap", "ribbon", "ribbons", "tissues"): ("Cards and wrap", "Arts & Entertainment > Party & Celebration"),
    ("bunting", "party", "christmas", "balloons"): ("Party", "Arts & Entertainment > Party & Celebration"),
    ("necklace", "bracelet", "earrings", "ring"): ("Jewellery", "Apparel & Accessories > Jewelry"),
    ("doll", "toy", "game", "jigsaw", "puzzle", "playhouse"): ("Toys", "Toys & Games"),
    ("pen", "pencils", "notebook", "book", "stickers"): ("Stationery", "Office Supplies"),
}


def descriptions(sales: pl.DataFrame, vendor: str) -> dict[str, Description]:
    """What is written about each SKU that was sold; SKUs of one stem that share words are variants of one product."""
    sold = sales.filter(pl.col("unit_price") > 0, pl.col("description").str.strip_chars() != "")
    words = pl.col("description").mode().sort().first()
    rows = sold.group_by("sku").agg(words, pl.col("unit_price").median()).sort("sku")
    stems: dict[str, list[tuple[str, str, float]]] = {}
    for sku, text, price in rows.iter_rows():
        stems.setdefault(sku[:5], []).append((sku, capwords(text), price))
    made: dict[str, Description] = {}
    for number, members in enumerate(stems.values()):
        made |= _described(members, FIRST_PRODUCT + 100 * number, vendor)
    return made


def _described(members: Sequence[tuple[str, str, float]], number: int, vendor: str) -> dict[str, Description]:
    """The descriptions of the SKUs of one stem: variants of one product, or else a product each."""
    shared = _shared([title.split() for _, title, _ in members])
    made: dict[str, Description] = {}
    for place, (sku, title, price) in enumerate(members):
        own = title.removesuffix(shared).strip() if shared else "Default Title"
        product = _product(
            number if shared else number + place, shared or title, vendor, members[0][0] if shared else sku
        )
        made[sku] = {"product": product, "variant_title": own, "price": f"{price:.2f}"}
    return made


def _shared(titles: Sequence[Sequence[str]]) -> str:
    """The words that all titles end with, where each has different ones before them; empty where there are none."""
    columns = zip(*(reversed(words) for words in titles), strict=False)
    last = [column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns)][::-1]
    rest = {tuple(words[: len(words) - len(last)]) for words in titles}
    return " ".join(last) if len(titles) > 1 and len(rest) == len(titles) and () not in rest else ""


def _product(number: int, title: str, vendor: str, sku: str) -> Product:
    words = set(title.lower().split())
    kind, category = next((kind for names, kind in KINDS.items() if words & set(names)), OTHER)
    return Product(number, title, vendor, kind, category, f"{IMAGES}/{sku.lower()}.jpg")
