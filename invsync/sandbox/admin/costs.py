"""The cost of a request by Shopify's published rules, and the leaky bucket that it is paid from."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil, log2

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
)
from graphql.language import FragmentSpreadNode, InlineFragmentNode, IntValueNode, ListValueNode, VariableNode

from invsync.sandbox.admin.search import Variables

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
        """Refill the bucket and return the points available now."""
        now = self.monotonic()
        self.available = min(self.maximum, self.available + (now - self._seen) * self.restore_rate)
        self._seen = now
        return self.available

    def pay(self, requested: int, actual: int) -> None:
        """Take the actual cost, at most the requested one."""
        self.available -= min(requested, actual)

    def status(self) -> dict[str, float]:
        """The bucket as `throttleStatus`."""
        return {
            "maximumAvailable": float(self.maximum),
            "currentlyAvailable": float(int(self.available)),
            "restoreRate": float(self.restore_rate),
        }


def requested_cost(document: DocumentNode, variables: Variables) -> int:
    """The points that a request may cost: an object 1, a mutation 10, a list by the logarithm of its size."""
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    operation = next(d for d in document.definitions if isinstance(d, OperationDefinitionNode))
    if operation.operation.value == "mutation":
        return MUTATION_COST * len(operation.selection_set.selections)
    return max(1, ceil(_selection_cost(operation.selection_set, fragments, variables)))


def actual_cost(data: object, requested: int) -> int:
    """The points that an answer costs: its objects, at most the requested cost."""
    return max(1, min(requested, _objects(data)))


def _selection_cost(
    selections: SelectionSetNode | None, fragments: Mapping[str, FragmentDefinitionNode], variables: Variables
) -> float:
    total = 0.0
    for node in selections.selections if selections else ():
        if not _is_included(node, variables):
            continue
        if isinstance(node, FragmentSpreadNode):
            total += _selection_cost(fragments[node.name.value].selection_set, fragments, variables)
        elif isinstance(node, InlineFragmentNode):
            total += _selection_cost(node.selection_set, fragments, variables)
        elif isinstance(node, FieldNode):
            total += _field_cost(node, fragments, variables)
    return total


def _is_included(node: SelectionNode, variables: Variables) -> bool:
    """Whether a selection is asked for, by its `@include`; the others cost nothing."""
    directive = next((each for each in node.directives or () if each.name.value == "include"), None)
    value = directive.arguments[0].value if directive and directive.arguments else None
    return not isinstance(value, VariableNode) or bool(variables.get(value.name.value))


def _field_cost(node: FieldNode, fragments: Mapping[str, FragmentDefinitionNode], variables: Variables) -> float:
    name = node.name.value
    inner = _selection_cost(node.selection_set, fragments, variables)
    if name in ("edges", "nodes"):
        return (1 + inner) * (_size(node, variables) if name == "nodes" and node.arguments else 1)
    return (1 + inner) * _size(node, variables) if node.selection_set and name != "pageInfo" else 0.0


def _size(node: FieldNode, variables: Variables) -> float:
    """What a field's list counts for: the logarithm of `first`, `last` or the number of `ids`, at least 1."""
    for argument in node.arguments or ():
        if argument.name.value not in ("first", "last", "ids"):
            continue
        value = argument.value
        size = variables.get(value.name.value) if isinstance(value, VariableNode) else None
        if isinstance(value, IntValueNode):
            size = int(value.value)
        elif isinstance(value, ListValueNode):
            size = len(value.values)
        count = len(size) if isinstance(size, list) else size
        return max(1.0, log2(count)) if isinstance(count, int) and count > 0 else 1.0
    return 1.0


def _objects(data: object) -> int:
    if isinstance(data, dict):
        return 1 + sum(map(_objects, data.values()))
    return sum(map(_objects, data)) if isinstance(data, list) else 0
