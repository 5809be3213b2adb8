"""The upkeep of what years leave behind: whether the state and the run folders are well, and what of them may go."""

from invsync.upkeep.checking import check
from invsync.upkeep.pruning import Pruned, prune

__all__ = ["Pruned", "check", "prune"]
