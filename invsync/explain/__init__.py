"""Explain one level: its terms, from fresh reads, and what earlier runs did to it."""

from invsync.explain.explanation import Explanation, Facility, OnlineTerms, OrderInFlight, PastRun, Stock
from invsync.explain.level import explain, explain_in

__all__ = [
    "Explanation",
    "Facility",
    "OnlineTerms",
    "OrderInFlight",
    "PastRun",
    "Stock",
    "explain",
    "explain_in",
]
