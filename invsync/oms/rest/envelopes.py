"""HotWax's JSON responses: the names of fields, and the envelopes around rows."""

from typing import Any

from invsync.errors import OmsFailed
from invsync.inputs import texts

ERRORS = ("errors", "error", "_ERROR_MESSAGE_", "_ERROR_MESSAGE_LIST_")
JsonRow = dict[str, Any]


def camel(column: str) -> str:
    """Return HotWax's field name of a column, as lastUpdatedStamp; also of several, separated by commas."""
    head, *rest = column.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def rows_in(answer: Any) -> list[JsonRow]:
    """Return the rows in a response: a list, or the only list in an object; raises OmsFailed with HotWax's message."""
    if isinstance(answer, list):
        return answer
    envelope = answer if isinstance(answer, dict) else {}
    lists = [value for value in envelope.values() if isinstance(value, list)]
    errors = [envelope[key] for key in ERRORS if envelope.get(key)]
    wrong = "; ".join(dict.fromkeys(texts.quoted(words) for words in texts.messages(errors)))
    if wrong or len(lists) != 1:
        raise OmsFailed(f"HotWax answered with no rows ({wrong or 'no list'}): check the shop's oms and run again.")
    return lists[0]
