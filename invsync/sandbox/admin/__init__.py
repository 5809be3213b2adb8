"""The rules of Shopify's Admin API, as the sandbox keeps them.

faults      what goes wrong on purpose, by count
costs       the price of a request, and the leaky bucket that it is paid from
access      the access scope that each field needs
search      global ids, Shopify's search syntax, connections
records     items, levels, orders, subscriptions
operations  bulk operations as they run
nodes       records as GraphQL nodes
export      the rows of a bulk query
bulk        staged uploads and the bulk mutations
webhooks    subscriptions and signed deliveries
"""
