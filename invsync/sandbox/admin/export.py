"""The rows of a bulk query, one by one: nested connections become rows of their own, the whole is never held."""

from collections.abc import Iterator
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    value_from_ast_untyped,
)

from invsync.sandbox.admin.search import Node

Field = tuple[str, FieldNode, dict[str, Any], SelectionSetNode | None]


class Export:
    """A valid query document over the query root; its arguments are literals, as bulk queries have no variables."""

    def __init__(self, document: DocumentNode, root: Any) -> None:
        parts = document.definitions
        self._root = root
        self._fragments = {d.name.value: d for d in parts if isinstance(d, FragmentDefinitionNode)}
        self._query = next(d for d in parts if isinstance(d, OperationDefinitionNode)).selection_set
        self._plans: dict[tuple[int, str], list[Field]] = {}

    def rows(self) -> Iterator[Node]:
        """One row a node, children after their parent and with its id."""
        for key, field, arguments, inner in self._fields(self._query, "QueryRoot"):
            if inner is not None:
                yield from self._connection(getattr(self._root, field.name.value)(None, **arguments), inner, key, None)

    def _connection(self, connection: Node, wanted: SelectionSetNode, key: str, parent: str | None) -> Iterator[Node]:
        inner = _nodes(wanted)
        assert inner is not None, f"{key} is no connection"
        for node in connection["each"]():
            row, lists = {}, []
            for name, field, arguments, below in self._fields(inner, node["__typename"]):
                value = _resolved(node[field.name.value], arguments)
                if below is not None and value is not None and _nodes(below) is not None:
                    lists.append((value, below, name))
                else:
                    row[name] = value if below is None else self._plain(value, below)
            yield row | ({"__parentId": parent} if parent else {})
            for nested in lists:
                yield from self._connection(*nested, row["id"])

    def _plain(self, value: Any, wanted: SelectionSetNode) -> Any:
        if isinstance(value, list):
            return [self._plain(one, wanted) for one in value]
        if value is None:
            return None
        return {
            name: child if below is None else self._plain(child, below)
            for name, field, arguments, below in self._fields(wanted, value.get("__typename", ""))
            for child in [_resolved(value[field.name.value], arguments)]
        }

    def _fields(self, wanted: SelectionSetNode, kind: str) -> list[Field]:
        """The fields that are selected on this type: response key, field, arguments, selections below."""
        if (id(wanted), kind) not in self._plans:
            self._plans[id(wanted), kind] = list(self._planned(wanted, kind))
        return self._plans[id(wanted), kind]

    def _planned(self, wanted: SelectionSetNode, kind: str) -> Iterator[Field]:
        for selection in wanted.selections:
            if isinstance(selection, FieldNode):
                key = (selection.alias or selection.name).value
                arguments = {a.name.value: value_from_ast_untyped(a.value) for a in selection.arguments or ()}
                yield key, selection, arguments, selection.selection_set
                continue
            part = self._fragments[selection.name.value] if isinstance(selection, FragmentSpreadNode) else selection
            assert isinstance(part, FragmentDefinitionNode | InlineFragmentNode)
            condition = part.type_condition
            if condition is None or condition.name.value in (kind, "Node"):
                yield from self._planned(part.selection_set, kind)


def _nodes(wanted: SelectionSetNode) -> SelectionSetNode | None:
    """What a connection's selection wants of each node; None for the selection of an object."""
    for field in wanted.selections:
        if isinstance(field, FieldNode) and field.name.value == "nodes":
            return field.selection_set
        if isinstance(field, FieldNode) and field.name.value == "edges" and field.selection_set:
            inner = [n for n in field.selection_set.selections if isinstance(n, FieldNode) and n.name.value == "node"]
            return inner[0].selection_set if inner else None
    return None


def _resolved(value: Any, arguments: dict[str, Any]) -> Any:
    return value(None, **arguments) if callable(value) else value
