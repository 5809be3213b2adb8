"""A shop and an OMS that run on one machine: Shopify's real schema over loopback HTTP, HotWax's real tables.

shop      the shop's state: items, locations, levels, orders, the journal of applied changes
faults    what goes wrong on purpose, by count
costs     the price of a request and the leaky bucket it is paid from
access    the access scope that each field needs
search    Shopify's search syntax and connections
reads     resolvers of the query root
adjust    inventoryAdjustQuantities and inventoryActivate with their runtime rules
export    the rows of a bulk query
bulk      staged uploads and bulk operations
app       the Starlette application
server    an application served on 127.0.0.1
oms       HotWax's tables and small writers (oms_tables, oms_stock)
hotwax    HotWax's HTTP APIs over those tables, with their traps
world     real sales replayed into both
"""
