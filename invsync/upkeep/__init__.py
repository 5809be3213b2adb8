"""Upkeep of the state and the run folders: whether they are sound, and the removal of what is no longer kept."""

from invsync.upkeep.checking import check
from invsync.upkeep.pruning import Pruned, prune

__all__ = ["Pruned", "check", "prune"]
