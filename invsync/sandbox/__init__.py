"""A shop and an OMS on one machine: Shopify's own GraphQL schema over loopback HTTP, and HotWax's own tables.

shop      the shop's state, and what happens to it
reads     resolvers of the query root
adjust    inventoryAdjustQuantities and inventoryActivate with their runtime rules
admin     the other rules of the Admin API: costs, scopes, search, bulk operations, webhooks, faults
app       the Starlette application of a shop
server    an application served on 127.0.0.1
oms       HotWax's tables and small writers (oms_tables, oms_stock)
hotwax    HotWax's HTTP APIs over those tables, with their traps
world     real sales replayed into both, of products as `catalogue` describes them
demo      a day of sales with the job beside it, and a shop to try things on
"""
