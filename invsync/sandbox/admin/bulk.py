"""Staged uploads and bulk operations; the lines of a result come in any order."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import TypedDict
from uuid import uuid4

from graphql import FieldNode, GraphQLError, GraphQLSchema, OperationDefinitionNode, parse, validate
from graphql.error import GraphQLSyntaxError

from invsync.sandbox.admin import access
from invsync.sandbox.admin.export import Export
from invsync.sandbox.admin.operations import BUSY, Operation
from invsync.sandbox.admin.search import Info, Node, Variables, number_of, stamp
from invsync.sandbox.reads import Reads
from invsync.sandbox.shop import Shop

MAX_BYTES = 100_000_000
SLOTS = 5
Execute = Callable[[str, Variables | None], Node]


class StagedUpload(TypedDict):
    """Shopify's StagedUploadInput, as far as the sandbox reads it."""

    filename: str
    mimeType: str


class Bulk:
    """The bulk mutations over one shop; `execute(text, variables)` executes one document."""

    def __init__(self, shop: Shop, schema: GraphQLSchema, execute: Execute, base_url: str) -> None:
        self._shop, self._schema, self._execute, self._base_url = shop, schema, execute, base_url

    def stagedUploadsCreate(self, info: Info, input: list[StagedUpload]) -> Node:
        """An address to upload to for each file, with the form fields that must precede `file`."""
        return {"stagedTargets": [self._target(upload) for upload in input], "userErrors": []}

    def bulkOperationRunMutation(self, info: Info, mutation: str, stagedUploadPath: str, **_: object) -> Node:
        """Run one mutation once for each line of an uploaded file, in no particular order."""
        body = self._shop.uploads.get(stagedUploadPath)
        code = self._refusal(mutation, "mutation")
        if body is None:
            code = "NO_SUCH_FILE" if stagedUploadPath not in self._shop.uploads else "INVALID_STAGED_UPLOAD_FILE"
        if code or self._full("MUTATION"):
            return _refused(code or "LIMIT_REACHED")
        lines = [line for line in (body or b"").decode().split("\n") if line.strip()]
        work = [self._line(mutation, number, line) for number, line in enumerate(lines)]
        self._shop.random.shuffle(work)
        return self._started("MUTATION", mutation, work)

    def bulkOperationRunQuery(self, info: Info, query: str, **_: object) -> Node:
        """Run one query over all objects; the nodes of nested connections become lines of their own."""
        invalid = self._refusal(query, "query") or access.denied(self._schema, parse(query), self._shop.scopes)
        if invalid or self._full("QUERY"):
            return _refused("INVALID" if invalid else "LIMIT_REACHED")
        try:
            rows = Export(parse(query), Reads(self._shop, every=True)).rows()
            lines = [json.dumps(row).replace("/", r"\/") for row in rows]
        except GraphQLError:
            return _refused("INVALID")
        self._shop.random.shuffle(lines)
        return self._started("QUERY", query, [line.__str__ for line in lines])

    def bulkOperationCancel(self, info: Info, id: str) -> Node:
        """Cancel a bulk operation."""
        operation = self._shop.operations.get(number_of(id, "BulkOperation") or 0)
        if operation is None:
            error = {"field": ["id"], "message": "Bulk operation does not exist"}
            return {"bulkOperation": None, "userErrors": [error]}
        operation.cancel()
        return {"bulkOperation": operation.answer(), "userErrors": []}

    def _target(self, upload: StagedUpload) -> Node:
        key = f"tmp/1/bulk/{uuid4()}/{upload['filename']}"
        self._shop.uploads[key] = None
        policy = {
            "expiration": stamp(self._shop.clock() + timedelta(hours=24)),
            "conditions": [["content-length-range", 1, MAX_BYTES], ["eq", "$key", key]],
        }
        fields = {
            "key": key,
            "Content-Type": upload["mimeType"],
            "success_action_status": "201",
            "acl": "private",
            "policy": base64.b64encode(json.dumps(policy).encode()).decode(),
        }
        parameters = [{"name": name, "value": value} for name, value in fields.items()]
        return {"url": f"{self._base_url}/_upload", "resourceUrl": None, "parameters": parameters}

    def _line(self, mutation: str, number: int, line: str) -> Callable[[], str]:
        def run() -> str:
            try:
                answer = self._execute(mutation, json.loads(line))
            except ValueError:
                answer = {"errors": [{"message": f"The JSON of line {number} could not be parsed."}]}
            return json.dumps(answer | {"__lineNumber": number}).replace("/", r"\/")

        return run

    def _refusal(self, text: str, kind: str) -> str | None:
        try:
            document = parse(text)
        except GraphQLSyntaxError:
            return "INVALID_MUTATION"
        operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
        if validate(self._schema, document) or len(operations) != 1 or operations[0].operation.value != kind:
            return "INVALID_MUTATION"
        roots = [n.name.value for n in operations[0].selection_set.selections if isinstance(n, FieldNode)]
        if len(roots) != 1 or roots[0].startswith("bulkOperationRun") or roots[0] in ("node", "nodes"):
            return "INVALID_MUTATION"
        return None

    def _full(self, kind: str) -> bool:
        return sum(o.kind == kind and o.status in BUSY for o in self._shop.operations.values()) >= SLOTS

    def _started(self, kind: str, text: str, work: list[Callable[[], str]]) -> Node:
        faults, number = self._shop.faults, len(self._shop.operations) + 1001
        operation = Operation(
            self._shop,
            number,
            kind,
            text,
            self._base_url,
            work,
            self._shop.clock(),
            stuck=faults.take("bulk_stuck", text),
            partial=faults.take("bulk_partial", text),
            garbage=faults.take("garbage_line", text),
        )
        self._shop.operations[number] = operation
        return {"bulkOperation": operation.answer(), "userErrors": []}


def _refused(code: str) -> Node:
    message = "Bulk operations limit reached. Please try again later." if code == "LIMIT_REACHED" else code
    return {"bulkOperation": None, "userErrors": [{"code": code, "field": None, "message": message}]}
