"""Explain one level: its terms, from fresh reads, and what earlier runs saw of it and did."""

from invsync.explain.explanation import Explanation
from invsync.explain.level import explain, explain_in
from invsync.explain.parts import Facility, LastLook, OnlineTerms, OrderInFlight, PastRun, SeenLevel, Step, Stock

__all__ = [
    "Explanation",
    "Facility",
    "LastLook",
    "OnlineTerms",
    "OrderInFlight",
    "PastRun",
    "SeenLevel",
    "Step",
    "Stock",
    "explain",
    "explain_in",
]
