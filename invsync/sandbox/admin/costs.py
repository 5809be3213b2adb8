"""The price of a request by Shopify's published rules, and the leaky bucket it is paid from."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil, log2
from typing import Any

from graphql import DocumentNode, FieldNode, FragmentDefinitionNode, OperationDefinitionNode, SelectionSetNode
from graphql.language import FragmentSpreadNode, InlineFragmentNode, IntValueNode, ListValueNode, VariableNode

MUTATION_COST = 10
MAX_SINGLE_COST = 1000


@dataclass
class Bucket:
    """A leaky bucket of points; `restore_rate` in points a second."""

    maximum: float = 20_000
    restore_rate: float = 1000
    monotonic: Callable[[], float] = time.monotonic
    available: float = field(init=False)
    _seen: float = field(init=False)

    def __post_init__(self) -> None:
        self.available, self._seen = self.maximum, self.monotonic()

    def refill(self) -> float:
        """Points available now."""
        now = self.monotonic()
        self.available = min(self.maximum, self.available + (now - self._seen) * self.restore_rate)
        self._seen = now
        return self.available

    def pay(self, requested: int, actual: int) -> None:
        """Take the actual cost; the requested one had to fit first."""
        self.available -= min(requested, actual)

    def status(self) -> dict[str, float]:
        """The bucket as `throttleStatus`."""
        return {
            "maximumAvailable": float(self.maximum),
            "currentlyAvailable": float(int(self.available)),
            "restoreRate": float(self.restore_rate),
        }


def requested_cost(document: DocumentNode, variables: Mapping[str, Any]) -> int:
    """Points asked for: object 1, mutation 10, a list sized by the logarithm of `first` or of its ids."""
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    operation = next(d for d in document.definitions if isinstance(d, OperationDefinitionNode))
    if operation.operation.value == "mutation":
        return MUTATION_COST * len(operation.selection_set.selections)
    return max(1, ceil(_selection_cost(operation.selection_set, fragments, variables)))


def actual_cost(data: Any, requested: int) -> int:
    """Points taken: the objects in the answer, never more than was asked for."""
    return max(1, min(requested, _objects(data)))


def _selection_cost(
    selections: SelectionSetNode | None,
    fragments: Mapping[str, FragmentDefinitionNode],
    variables: Mapping[str, Any],
) -> float:
    total = 0.0
    for node in selections.selections if selections else ():
        if isinstance(node, FragmentSpreadNode):
            total += _selection_cost(fragments[node.name.value].selection_set, fragments, variables)
        elif isinstance(node, InlineFragmentNode):
            total += _selection_cost(node.selection_set, fragments, variables)
        elif (
            isinstance(node, FieldNode) and node.selection_set and node.name.value not in ("pageInfo", "edges", "nodes")
        ):
            inner = _selection_cost(node.selection_set, fragments, variables)
            total += (1 + inner) * _size(node, variables)
        elif isinstance(node, FieldNode) and node.name.value in ("edges", "nodes"):
            outer = 1 if node.name.value == "nodes" and node.arguments else 0
            inner = 1 + _selection_cost(node.selection_set, fragments, variables)
            total += inner * (_size(node, variables) if outer else 1)
    return total


def _size(node: FieldNode, variables: Mapping[str, Any]) -> float:
    for argument in node.arguments or ():
        value = argument.value
        if argument.name.value not in ("first", "last", "ids"):
            continue
        given = variables.get(value.name.value) if isinstance(value, VariableNode) else None
        if isinstance(value, IntValueNode):
            given = int(value.value)
        elif isinstance(value, ListValueNode):
            given = len(value.values)
        count = len(given) if isinstance(given, list) else given
        return max(1.0, log2(count)) if isinstance(count, int) and count > 0 else 1.0
    return 1.0


def _objects(data: Any) -> int:
    if isinstance(data, dict):
        return 1 + sum(map(_objects, data.values()))
    return sum(map(_objects, data)) if isinstance(data, list) else 0
