"""What to do after a run that was stopped or failed."""

from invsync import vocabulary
from invsync.runs.record import Record, has_sent


def steps(record: Record) -> list[str]:
    """What to do next, in order; nothing for a run that finished."""
    match record.status:
        case vocabulary.STOPPED if not any(guard.stopped for guard in record.guards):
            return ["Nothing was sent, and Shopify is as it was.", "Do what the sentence above says."]
        case vocabulary.STOPPED:
            return [
                "Nothing was sent, and Shopify is as it was.",
                "Compare the numbers below with what you expect: a shrunken feed, a wrong mapping or a wrong zero in "
                "HotWax shows here first.",
                "If HotWax is wrong, mend it and run again. If the change is meant, raise that limit in the shop's "
                "[guards], or review a dry run and apply it.",
            ]
        case vocabulary.FAILED:
            words = (
                "Some changes may have reached Shopify before it failed. The next run settles them first, under "
                "the same keys, so nothing is applied twice."
                if has_sent(record)
                else "Nothing was sent."
            )
            return [
                words,
                "Do what the sentence above says; then run the job again, or wait for the next scheduled run.",
            ]
    return []
