"""Where people go from a page: a product, an order or a location in Shopify's admin, and a product in HotWax."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, urlsplit

from invsync.config.fields import LOOPBACK, PRODUCT_ID
from invsync.config.settings import ShopSettings

ADMIN = "https://admin.shopify.com/store"
SUFFIX = ".myshopify.com"


@dataclass(frozen=True)
class Links:
    """The addresses that links begin with; an empty one is no link.

    `admin` is the shop in Shopify's admin, `hotwax` the page of a product in HotWax with `{product_id}` in it.
    """

    admin: str = ""
    hotwax: str = ""

    @classmethod
    def of(cls, shop: ShopSettings) -> Self:
        """The links of a configured shop; a sandbox on this machine has no admin."""
        domain = shop.domain.lower()
        local = urlsplit(shop.base_url).hostname in LOOPBACK or not domain.endswith(SUFFIX)
        return cls("" if local else f"{ADMIN}/{domain.removesuffix(SUFFIX)}", shop.hotwax_product_page or "")

    def product(self, product: int | None, variant: int | None) -> str:
        """A variant of a product in Shopify's admin."""
        if not self.admin or product is None:
            return ""
        return f"{self.admin}/products/{product}" + ("" if variant is None else f"/variants/{variant}")

    def in_hotwax(self, product_id: str | None) -> str:
        """A product in HotWax, by its id there."""
        return self.hotwax.replace(PRODUCT_ID, quote(product_id, safe="")) if self.hotwax and product_id else ""
