"""The access scopes that a document needs, by the types of its fields."""

from graphql import DocumentNode, FieldNode, GraphQLError, GraphQLSchema, TypeInfo, TypeInfoVisitor, Visitor, visit
from graphql.type import get_named_type

NEEDED = {
    "InventoryItem": "read_inventory",
    "InventoryLevel": "read_inventory",
    "Location": "read_locations",
    "ProductVariant": "read_products",
    "Order": "read_orders",
    "FulfillmentOrder": "read_merchant_managed_fulfillment_orders",
}
HELP = "https://shopify.dev/api/usage/access-scopes"


class _Fields(Visitor):
    """Collect each field with the scope that it needs."""

    def __init__(self, types: TypeInfo) -> None:
        super().__init__()
        self.needed: list[tuple[str, str]] = []
        self._types = types

    def enter_field(self, node: FieldNode, *_: object) -> None:
        parent, kind = self._types.get_parent_type(), self._types.get_type()
        name = node.name.value
        if parent and parent.name == "Mutation" and name.startswith("inventory"):
            self.needed.append((name, "write_inventory"))
        for type in (parent, get_named_type(kind) if kind else None):
            if type and type.name.removesuffix("Connection") in NEEDED:
                self.needed.append((name, NEEDED[type.name.removesuffix("Connection")]))


def denied(schema: GraphQLSchema, document: DocumentNode, scopes: str) -> GraphQLError | None:
    """The error for the first field of a valid document that the scopes do not cover.

    `scopes` is a list with commas between.
    """
    types = TypeInfo(schema)
    fields = _Fields(types)
    visit(document, TypeInfoVisitor(types, fields))
    granted = scopes.split(",")
    return next((_denial(field, scope) for field, scope in fields.needed if scope not in granted), None)


def _denial(field: str, scope: str) -> GraphQLError:
    required = f"`{scope}` access scope."
    return GraphQLError(
        f"Access denied for {field} field. Required access: {required}",
        path=[field],
        extensions={"code": "ACCESS_DENIED", "documentation": HELP, "requiredAccess": required},
    )
