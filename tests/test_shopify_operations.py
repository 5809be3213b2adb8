"""Every operation is valid against Shopify's schema."""

import gzip
import json
from importlib.resources import files
from pathlib import Path

import pytest
from graphql import GraphQLSchema, build_client_schema, build_schema, parse, validate
from graphql.language import OperationDefinitionNode

from invsync.shopify import MUTATION
from invsync.shopify.client import operation
from invsync.shopify.level_nodes import levels_text
from invsync.shopify.orders import document

ROOT = Path(__file__).parents[2]
FULL = ROOT / "shared/reference/shopify_schema/admin_2026-10.json.gz"
NAMES = sorted(
    f.name.removesuffix(".graphql")
    for f in files("invsync.shopify.operations").iterdir()
    if f.name.endswith(".graphql") and f.name != "order_parts.graphql"  # fragments, which the others use
)


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    if FULL.exists():
        introspection = json.loads(gzip.decompress(FULL.read_bytes()))["data"]
        return build_client_schema(introspection, assume_valid=True)
    closed = files("invsync.sandbox").joinpath("schema.graphql")
    return build_schema(closed.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_is_valid(name: str, schema: GraphQLSchema) -> None:
    text = operation(name)
    assert validate(schema, parse(text if "\nfragment " in text else document(name))) == []


@pytest.mark.parametrize("places", [1, 2, 12])
def test_the_levels_query_is_valid_for_any_number_of_locations(places: int, schema: GraphQLSchema) -> None:
    text = levels_text(places)

    assert validate(schema, parse(text)) == []
    assert text.count(": inventoryLevel(") == places


def test_the_mutation_declares_exactly_the_variables_of_a_line() -> None:
    (definition,) = parse(MUTATION).definitions
    assert isinstance(definition, OperationDefinitionNode)

    assert [v.variable.name.value for v in definition.variable_definitions or ()] == [
        "input",
        "idempotencyKey",
    ]
    assert "@idempotent(key: $idempotencyKey)" in MUTATION
