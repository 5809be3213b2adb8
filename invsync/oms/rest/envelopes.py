"""The names and the envelopes of HotWax's HTTP answers."""

from typing import Any

from invsync.errors import OmsFailed
from invsync.inputs import texts


def camel(column: str) -> str:
    """HotWax's field name of a column, as lastUpdatedStamp; of several, separated by commas, too."""
    head, *rest = column.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def rows_in(answer: Any) -> list[dict[str, Any]]:
    """The rows in any of HotWax's envelopes: a bare list, or the one list in an object; an error is told."""
    if isinstance(answer, list):
        return answer
    told = answer if isinstance(answer, dict) else {}
    lists = [value for value in told.values() if isinstance(value, list)]
    errors = [told[key] for key in ("errors", "error", "_ERROR_MESSAGE_", "_ERROR_MESSAGE_LIST_") if told.get(key)]
    wrong = "; ".join(dict.fromkeys(texts.quoted(words) for words in texts.messages(errors)))
    if wrong or len(lists) != 1:
        raise OmsFailed(f"HotWax answered with no rows ({wrong or 'no list'}): check the shop's oms and run again.")
    return lists[0]
