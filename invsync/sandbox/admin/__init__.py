"""The rules of Shopify's Admin API, as the sandbox plays them."""
