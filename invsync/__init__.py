"""Keep Shopify's available right from HotWax Commerce stock, and prove it."""

__version__ = "0.1.0"
