"""Send a file of adjustments, by direct calls or as a bulk mutation; every line gets one result line."""

import base64
import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event
from typing import Literal, TextIO

from invsync.errors import ShopifyFailed
from invsync.inputs import texts
from invsync.retry import Busy, NoAnswer
from invsync.shopify import bulk
from invsync.shopify.client import TRANSIENT, Client, Node, codes, messages, operation
from invsync.shopify.pacing import MOST_AT_ONCE
from invsync.shopify.retry import Patience, Unanswered

Transport = Literal["direct", "bulk", "auto"]
DIRECT_UP_TO = 200
CONCURRENT = "IDEMPOTENCY_CONCURRENT_REQUEST"
UNKNOWN, NOT_SENT = "UNKNOWN_OUTCOME", "NOT_SENT"
UNRESOLVED = TRANSIENT | {"THROTTLED", CONCURRENT}
MUTATION = operation("adjust_quantities")


@dataclass(frozen=True)
class Delivery:
    """How a file was sent: the transport that was chosen, and the gids of its bulk operations."""

    transport: Literal["direct", "bulk"]
    operation_ids: tuple[str, ...] = ()


@dataclass
class Results:
    """The result file while it is written: one line for each line that was sent; the first answer stands."""

    file: TextIO
    done: set[int] = field(default_factory=set)

    def add(self, line: int, body: Node) -> None:
        """Write the answer of this line (0-based) unless it has one."""
        if line in self.done:
            return
        self.done.add(line)
        kept = {key: body[key] for key in ("data", "errors") if key in body}
        text = json.dumps(kept | {"__lineNumber": line}, ensure_ascii=False, separators=(",", ":"))
        self.file.write(text + "\n")
        self.file.flush()


@dataclass
class Calls:
    """The calls under way, each with its line; the first fatal refusal is kept, and `stop` ends what has not begun."""

    results: Results
    open: dict[Future[Node], int] = field(default_factory=dict)
    stop: Event = field(default_factory=Event)
    fatal: BaseException | None = None

    def collect(self) -> None:
        """Wait for an answer, and write down each that has come."""
        for future in wait(self.open, return_when=FIRST_COMPLETED).done:
            error = future.exception()
            self.fatal = self.fatal or error
            line = self.open.pop(future)
            self.results.add(line, _failure(str(error), UNKNOWN) if error else future.result())


def submit(
    client: Client,
    path: Path,
    result: Path,
    *,
    transport: Transport = "auto",
    stall_seconds: float = bulk.STALL_SECONDS,
) -> Delivery:
    """Send the lines of `path` and write their answers to `result`, each with its 0-based __lineNumber.

    A line that got no answer is written with the code UNKNOWN_OUTCOME, one that was not sent with NOT_SENT. Raises
    ShopifyFailed where Shopify refuses the file or a line for good, after every line has its result.
    """
    if client.read_only:
        raise ShopifyFailed("A read-only client refuses every mutation: run without the dry run to write.")
    count = sum(1 for _ in _lines(path))
    with result.open("w", encoding="utf-8") as file:
        results = Results(file)
        if transport == "direct" or (transport == "auto" and count <= DIRECT_UP_TO):
            _direct(client, path, results)
            return Delivery("direct")
        return Delivery("bulk", _bulk(client, path, results, count, stall_seconds))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8") as file:
        for i, line in enumerate(file):
            if line.strip():
                yield i, line


def _direct(client: Client, path: Path, results: Results) -> None:
    """Send every line that has no answer yet, in order, as many at once as Shopify's bucket allows.

    A file is in the order of the available that results, so the pairs nearest to zero are sent first. A fatal refusal
    stops the rest.
    """
    calls = Calls(results)
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        try:
            for i, line in _lines(path):
                if i in results.done:
                    continue
                while len(calls.open) >= client.at_once(MUTATION):
                    calls.collect()
                calls.open[pool.submit(_deliver, client, line, calls.stop)] = i
            while calls.open:
                calls.collect()
        except BaseException:
            calls.stop.set()
            raise
    if calls.fatal:
        raise calls.fatal


def _deliver(client: Client, line: str, stop: Event) -> Node:
    """The answer to one line; the same key on every try, so an unknown outcome is safe to ask again."""
    if stop.is_set():
        return _failure("Not sent, because Shopify refused an earlier line for good", NOT_SENT)
    try:
        return Patience(client.sleep).call(partial(_settled, client, line))
    except Unanswered as error:
        return _failure(str(error), UNKNOWN)
    except BaseException:
        stop.set()
        raise


def _settled(client: Client, line: str) -> Node:
    """The final answer to one line; a line that Shopify is still working on, or could not work on, has none yet."""
    body = client.answer(MUTATION, json.loads(line))
    faults = codes(_user_errors(body))
    if CONCURRENT in faults:
        raise Busy("the same request is in progress")
    if faults & TRANSIENT:
        raise NoAnswer(messages(_user_errors(body)))
    return body


def _failure(message: str, code: str) -> Node:
    return {"errors": [{"message": message, "extensions": {"code": code}}]}


def _user_errors(body: Node) -> list[object]:
    data = body.get("data")
    payloads = data.values() if isinstance(data, dict) else ()
    return [error for payload in payloads if isinstance(payload, dict) for error in payload.get("userErrors") or ()]


def _bulk(client: Client, path: Path, results: Results, count: int, stall_seconds: float) -> tuple[str, ...]:
    """Run the file as one bulk mutation, then deliver directly whatever it left without an answer."""
    if count == 0:
        return ()
    operations: tuple[str, ...] = ()
    try:
        operations = (_start(client, path),)
        done = bulk.wait(client, operations[0], stall_seconds=stall_seconds)
        if done.result_url:
            _collect(client, done.result_url, path, results)
    except Unanswered:
        pass
    except ShopifyFailed as error:
        for i, _ in _lines(path):
            results.add(i, _failure(str(error), UNKNOWN if operations else NOT_SENT))
        raise
    _direct(client, path, results)
    return operations


def _start(client: Client, path: Path) -> str:
    """Start the bulk mutation of this file and return its id."""
    variables = {"mutation": MUTATION, "stagedUploadPath": _stage(client, path), "clientIdentifier": _identifier(path)}
    return bulk.start(client, "bulk_run_mutation", "bulkOperationRunMutation", variables)


def _stage(client: Client, path: Path) -> str:
    """Upload the file to storage and return its staged path."""
    target = {
        "resource": "BULK_MUTATION_VARIABLES",
        "filename": path.name,
        "mimeType": "text/jsonl",
        "httpMethod": "POST",
    }
    payload = client.data("staged_upload", {"input": [target]})["stagedUploadsCreate"] or {}
    if payload.get("userErrors") or not payload.get("stagedTargets"):
        refusal = messages(payload.get("userErrors") or "no target")
        raise ShopifyFailed(f"Shopify refused a staged upload for {path.name} ({refusal}): run again.")
    staged = payload["stagedTargets"][0]
    fields = {parameter["name"]: parameter["value"] for parameter in staged["parameters"]}
    size, limit = path.stat().st_size, size_limit(fields.get("policy", ""))
    if limit is not None and size > limit:
        raise ShopifyFailed(f"File {path.name} has {size} bytes, Shopify takes up to {limit}: split it.")
    bulk.store(client, staged["url"], fields, path)
    return str(fields["key"])


def size_limit(policy: str) -> int | None:
    """Return the most bytes that a signed upload policy (base64 of JSON) allows; None where it names no range."""
    try:
        conditions = json.loads(base64.b64decode(policy))["conditions"]
        ranges = (each for each in conditions if isinstance(each, list) and each[0] == "content-length-range")
        return int(next(ranges)[2])
    except (ValueError, KeyError, TypeError, IndexError, StopIteration):
        return None


def _identifier(path: Path) -> str:
    with path.open("rb") as file:
        return f"invsync-{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _collect(client: Client, url: str, path: Path, results: Results) -> None:
    """Take every usable line of a bulk result; the lines that it does not settle are left for direct calls."""
    known = {i for i, _ in _lines(path)}
    temporary = Path(results.file.name).with_suffix(".bulk")
    try:
        with suppress(ShopifyFailed):
            bulk.fetch(client, url, temporary)
        if not temporary.exists():
            return
        with temporary.open(encoding="utf-8", errors="replace") as file:
            for text in file:
                body = _usable(text)
                if body is not None and body["__lineNumber"] in known:
                    results.add(body["__lineNumber"], body)
    finally:
        temporary.unlink(missing_ok=True)


def _usable(text: str) -> Node | None:
    """The result line as a value; None where it cannot be read or holds no final outcome."""
    try:
        body = texts.parsed(text)
    except ValueError:
        return None
    if not isinstance(body, dict) or type(body.get("__lineNumber")) is not int:
        return None
    data, errors = body.get("data"), body.get("errors")
    answered = bool(errors) or (isinstance(data, dict) and any(isinstance(v, dict) for v in data.values()))
    unresolved = (codes(errors) | codes(_user_errors(body))) & UNRESOLVED
    return body if answered and not unresolved else None
