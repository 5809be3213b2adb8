"""Staged uploads and bulk operations: results in any order, and progress each time one is asked after."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from graphql import FieldNode, GraphQLError, GraphQLSchema, OperationDefinitionNode, parse, validate
from graphql.error import GraphQLSyntaxError

from invsync.sandbox.admin import access
from invsync.sandbox.admin.export import Export
from invsync.sandbox.admin.search import Info, Node, gid, number_of, stamp
from invsync.sandbox.reads import Reads
from invsync.sandbox.shop import Shop

MAX_BYTES = 100_000_000
SLOTS = 5
BUSY = ("CREATED", "RUNNING", "CANCELING")
Execute = Callable[[str, dict[str, Any] | None], Node]


@dataclass
class Operation:
    """One bulk operation: lines that still wait, lines answered, and the faults that it was born with."""

    shop: Shop
    number: int
    kind: str
    query: str
    base_url: str
    waiting: list[Callable[[], str]]
    created_at: datetime
    stuck: bool = False
    partial: bool = False
    garbage: bool = False
    status: str = "CREATED"
    error: str | None = None
    done: list[str] = field(default_factory=list)
    completed_at: datetime | None = None
    address: str | None = None
    counted: int = 0

    def fields(self) -> dict[str, Any]:
        """What the search may filter on."""
        return {
            "id": self.number,
            "status": self.status.lower(),
            "operation_type": self.kind.lower(),
            "created_at": self.created_at,
        }

    def poll(self) -> Node:
        """Move on by `bulk_lines_per_poll` lines, and answer."""
        if self.status == "CANCELING":
            self._finish("CANCELED", publish=False)
        elif self.status in BUSY:
            self.status = "RUNNING"
            self._advance()
        return self.answer()

    def answer(self) -> Node:
        """The operation as it stands."""
        body = self.shop.results.get(str(self.number))
        return {
            "__typename": "BulkOperation",
            "id": gid("BulkOperation", self.number),
            "type": self.kind,
            "status": self.status,
            "errorCode": self.error,
            "query": self.query,
            "createdAt": stamp(self.created_at),
            "completedAt": stamp(self.completed_at),
            "objectCount": str(self.counted),
            "rootObjectCount": str(self.counted),
            "fileSize": str(len(body)) if body is not None else None,
            "url": self.address if self.status == "COMPLETED" else None,
            "partialDataUrl": self.address if self.status == "FAILED" else None,
        }

    def cancel(self) -> None:
        """Ask for the end; lines already executed stay executed."""
        if self.status in BUSY:
            self.status = "CANCELING"

    def _advance(self) -> None:
        halfway = len(self.waiting) // 2 + len(self.waiting) % 2
        if self.stuck:
            self._execute(halfway if not self.done else 0)
        elif self.partial:
            self._execute(halfway)
            self.done = self.done[:-1] if len(self.done) > 1 else self.done
            self.error = "INTERNAL_SERVER_ERROR"
            self._finish("FAILED")
        else:
            self._execute(self.shop.bulk_lines_per_poll)
            self.counted = len(self.done)
            if not self.waiting:
                self._finish("COMPLETED")

    def _execute(self, count: int) -> None:
        batch, self.waiting = self.waiting[:count], self.waiting[count:]
        self.done += [line() for line in batch]

    def _finish(self, status: str, publish: bool = True) -> None:
        self.status, self.completed_at, self.counted = status, self.shop.clock(), len(self.done)
        if self.garbage and self.done:
            self.done[0] = self.done[0][: len(self.done[0]) // 2]
        if publish and self.done:
            self.shop.results[str(self.number)] = "".join(f"{line}\n" for line in self.done).encode()
            self.address = f"{self.base_url}/_results/{self.number}.jsonl"
        self.shop.tell("BULK_OPERATIONS_FINISH", self.number)


class Bulk:
    """The bulk mutations over one shop; `execute(text, variables)` runs one document."""

    def __init__(self, shop: Shop, schema: GraphQLSchema, execute: Execute, base_url: str) -> None:
        self._shop, self._schema, self._execute, self._base_url = shop, schema, execute, base_url

    def stagedUploadsCreate(self, info: Info, input: list[dict[str, Any]]) -> Node:
        """Addresses to upload to, one for each file, with the fields that must go before `file`."""
        return {"stagedTargets": [self._target(one) for one in input], "userErrors": []}

    def bulkOperationRunMutation(self, info: Info, mutation: str, stagedUploadPath: str, **arguments: Any) -> Node:
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

    def bulkOperationRunQuery(self, info: Info, query: str, **arguments: Any) -> Node:
        """Run one query over every object; nested connections become lines of their own."""
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
        """Ask a bulk operation to stop."""
        operation = self._shop.operations.get(number_of(id, "BulkOperation") or 0)
        if operation is None:
            error = {"field": ["id"], "message": "Bulk operation does not exist"}
            return {"bulkOperation": None, "userErrors": [error]}
        operation.cancel()
        return {"bulkOperation": operation.answer(), "userErrors": []}

    def _target(self, one: dict[str, Any]) -> Node:
        key = f"tmp/1/bulk/{uuid4()}/{one['filename']}"
        self._shop.uploads[key] = None
        policy = {
            "expiration": stamp(self._shop.clock() + timedelta(hours=24)),
            "conditions": [["content-length-range", 1, MAX_BYTES], ["eq", "$key", key]],
        }
        fields = {
            "key": key,
            "Content-Type": one["mimeType"],
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
        if validate(self._schema, document):
            return "INVALID_MUTATION"
        if len(operations) != 1 or operations[0].operation.value != kind:
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
