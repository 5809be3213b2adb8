"""The rows of a bulk query, one by one: nested connections become rows of their own, the whole is never in memory."""

from collections.abc import Iterator
from typing import NamedTuple

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
from invsync.sandbox.reads import Reads


class Field(NamedTuple):
    """A selected field: the key in the row, the field's name, its arguments, and the selections below it."""

    key: str
    name: str
    arguments: dict[str, object]
    below: SelectionSetNode | None


class Export:
    """A valid query document over the query root; its arguments are literals, as bulk queries have no variables."""

    def __init__(self, document: DocumentNode, root: Reads) -> None:
        parts = document.definitions
        self._root = root
        self._fragments = {d.name.value: d for d in parts if isinstance(d, FragmentDefinitionNode)}
        self._query = next(d for d in parts if isinstance(d, OperationDefinitionNode)).selection_set
        self._plans: dict[tuple[int, str], list[Field]] = {}

    def rows(self) -> Iterator[Node]:
        """One row a node; children follow their parent and carry its id."""
        for field in self._fields(self._query, "QueryRoot"):
            if field.below is not None:
                connection = getattr(self._root, field.name)(None, **field.arguments)
                yield from self._connection(connection, field.below, field.key, None)

    def _connection(self, connection: Node, wanted: SelectionSetNode, key: str, parent: str | None) -> Iterator[Node]:
        inner = _nodes(wanted)
        assert inner is not None, f"{key} is no connection"
        for node in connection["each"]():
            row: Node = {}
            nested: list[tuple[Node, SelectionSetNode, str]] = []
            for field in self._fields(inner, node["__typename"]):
                value = _resolved(node[field.name], field.arguments)
                if field.below is not None and isinstance(value, dict) and _nodes(field.below) is not None:
                    nested.append((value, field.below, field.key))
                else:
                    row[field.key] = value if field.below is None else self._plain(value, field.below)
            yield row | ({"__parentId": parent} if parent else {})
            for child in nested:
                yield from self._connection(*child, row["id"])

    def _plain(self, value: object, wanted: SelectionSetNode) -> object:
        """An object, or a list of them, with the selected fields."""
        if isinstance(value, list):
            return [self._plain(one, wanted) for one in value]
        if not isinstance(value, dict):
            return None
        row = {}
        for field in self._fields(wanted, value.get("__typename", "")):
            child = _resolved(value[field.name], field.arguments)
            row[field.key] = child if field.below is None else self._plain(child, field.below)
        return row

    def _fields(self, wanted: SelectionSetNode, kind: str) -> list[Field]:
        """The fields that are selected on this type."""
        if (id(wanted), kind) not in self._plans:
            self._plans[id(wanted), kind] = list(self._planned(wanted, kind))
        return self._plans[id(wanted), kind]

    def _planned(self, wanted: SelectionSetNode, kind: str) -> Iterator[Field]:
        for selection in wanted.selections:
            if isinstance(selection, FieldNode):
                key = (selection.alias or selection.name).value
                arguments = {a.name.value: value_from_ast_untyped(a.value) for a in selection.arguments or ()}
                yield Field(key, selection.name.value, arguments, selection.selection_set)
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


def _resolved(value: object, arguments: dict[str, object]) -> object:
    return value(None, **arguments) if callable(value) else value
