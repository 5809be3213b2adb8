"""Snoozed faults: which ones a person has put off, until when, and why.

They are kept in `snoozed.json` beside the reports, not in the state database: no run needs them, the pages must know
them where only the reports are, and a person can read and mend the file by hand.
"""

import json
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Self

from invsync.errors import UsageError
from invsync.inputs import texts

FILE = "snoozed.json"


@dataclass(frozen=True)
class Snooze:
    """A fault put off until the end of a day (YYYY-MM-DD), the reason, and the fault as it was then.

    `since` is when it began, `units` how many units Shopify showed too many or too few, `message` the words that came
    with it; `fault` describes it for people.
    """

    until: str
    reason: str
    fault: str = ""
    since: str = ""
    units: float | None = None
    message: str = ""

    @classmethod
    def of(cls, values: dict[str, object]) -> Self:
        """The snooze of a JSON object; raises UsageError where it is none."""
        try:
            made = cls(**{name: values[name] for name in cls.__dataclass_fields__ if name in values})  # type: ignore[arg-type]
            date.fromisoformat(made.until)
        except (TypeError, ValueError) as error:
            raise UsageError(f"{FILE} has an entry that cannot be read ({error}): correct or remove it.") from error
        return made

    def holds(self, now: "Snooze", today: date) -> bool:
        """Whether the fault, which is `now` so, stays put off: the day is not over, and it has not grown or changed."""
        grown = abs(now.units or 0) > abs(self.units or 0)
        same = (self.since, self.message) == (now.since, now.message) and not grown
        return same and today <= date.fromisoformat(self.until)


def load(root: Path) -> dict[str, Snooze]:
    """Return the snoozes of these reports by the id of their fault."""
    path = root / FILE
    if not path.exists():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} cannot be read as JSON ({error}): correct or remove it.") from error
    if not isinstance(values, dict) or not all(isinstance(value, dict) for value in values.values()):
        raise UsageError(f"{path} holds no snoozes: correct or remove it.")
    return {str(key): Snooze.of(value) for key, value in values.items()}


def save(root: Path, snoozes: dict[str, Snooze]) -> None:
    """Write the snoozes, one fault after another, in one step."""
    values = {key: asdict(snoozes[key]) for key in sorted(snoozes)}
    part = root / f"{FILE}.part"
    part.write_text(texts.printable(json.dumps(values, ensure_ascii=False, indent=2)) + "\n", encoding="utf-8")
    part.replace(root / FILE)
