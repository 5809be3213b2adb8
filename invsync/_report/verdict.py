"""What a run.json says, in one sentence and a few figures; it stands without any field it needs."""

import html
from dataclasses import dataclass
from typing import Any

NONE = "\N{EN DASH}"
ICONS = {"done": "✓", "partial": "⚠", "stopped": "■", "planned": "◷", "failed": "✕"}


@dataclass(frozen=True)
class Figure:
    """One key figure: its name, its value ready to read, and a note."""

    name: str
    value: str
    note: str = ""


def status(summary: dict[str, Any]) -> str:
    """The run's status; whatever is not known to be better has failed."""
    said = summary.get("status")
    return said if isinstance(said, str) and said in ICONS else "failed"


def number(summary: dict[str, Any], *path: str) -> int | None:
    """The whole number at this path of the summary, or None."""
    value: Any = summary
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def right(summary: dict[str, Any]) -> int | None:
    """Pairs whose number in Shopify is right at the end: applied, already right, or moved on by an order."""
    known = [number(summary, "counts", name) for name in ("applied", "already_right", "superseded")]
    return None if all(one is None for one in known) else sum(one or 0 for one in known)


def waiting(summary: dict[str, Any]) -> int | None:
    """Pairs that need a person: as counted by the run, else those refused, not known, or held by a fault."""
    counted = number(summary, "counts", "needs_a_person")
    if counted is not None or summary.get("exit_code") == 0:
        return counted or 0
    known = [number(summary, "counts", name) for name in ("refused", "unknown", "held")]
    return None if all(one is None for one in known) else sum(one or 0 for one in known)


def sentence(summary: dict[str, Any]) -> str:
    """The verdict in one sentence, for someone who does not know the system."""
    good, wrong, planned = right(summary), waiting(summary) or 0, number(summary, "counts", "planned") or 0
    match status(summary):
        case "done":
            held = number(summary, "counts", "held") or 0
            aside = f"; {_many(held, 'pair')} left aside by rule" if held else ""
            return f"Shopify shows the right number for {_every(good)}{aside}."
        case "partial":
            return f"The run finished, but {_many(wrong, 'pair')} {_verb(wrong, 'needs', 'need')} a person."
        case "stopped":
            return "A guard stopped the run before anything was sent: look at the numbers below."
        case "planned":
            return f"A rehearsal: {_many(planned, 'pair')} would be changed; nothing was sent."
    return "The run failed: do not rely on Shopify's numbers until a later run succeeds."


def figures(summary: dict[str, Any]) -> list[Figure]:
    """The five key figures; a dash stands for what the run did not get to know."""
    selected, orders = number(summary, "counts", "selected"), number(summary, "in_flight", "orders")
    counted = status(summary) != "planned"
    first = right(summary) if counted else number(summary, "counts", "planned")
    looked = "" if selected is None else f"of {selected:,} looked at"
    return [
        Figure("Pairs right" if counted else "Pairs to change", _shown(first), looked),
        Figure("Units raised", _shown(number(summary, "units", "raised"))),
        Figure("Units lowered", _shown(_positive(number(summary, "units", "lowered")))),
        Figure(
            "Units in flight, protected",
            _shown(number(summary, "in_flight", "units")),
            "" if orders is None else f"in {_many(orders, 'order')}",
        ),
        Figure("Pairs that need a person", _shown(waiting(summary))),
    ]


def about(summary: dict[str, Any]) -> str:
    """Shop, job, times and run id on one line."""
    job = str(summary.get("job") or "run").replace("_", " ").replace("-", " ")
    start, end = (str(summary.get(name) or "")[:19].replace("T", " ") for name in ("started_at", "finished_at"))
    when = f"{start} to {end[11:] if end[:10] == start[:10] else end} UTC" if start and end else start
    known = [str(summary.get("shop") or ""), job, when, str(summary.get("run_id") or "")]
    return " · ".join(part for part in known if part)


def messages(summary: dict[str, Any]) -> list[str]:
    """What the run and its guards had to say, each once."""
    said = _texts(summary.get("messages"))
    return list(dict.fromkeys(said + [text for text in _texts(summary.get("guards")) if text not in said]))


def markup(summary: dict[str, Any], heading: str = "h1") -> str:
    """The verdict as HTML: icon, sentence, where and when, messages, figures."""
    kind, escape = status(summary), html.escape
    said = "".join(f"<li>{escape(text)}</li>" for text in messages(summary))
    shown = "".join(
        f"<div><dt>{escape(one.name)}</dt><dd>{escape(one.value)}"
        + (f"<small>{escape(one.note)}</small>" if one.note else "")
        + "</dd></div>"
        for one in figures(summary)
    )
    return (
        f'<section class="iv-verdict iv-banner {kind}" aria-label="Verdict"><{heading}>'
        f'<span aria-hidden="true">{ICONS[kind]}</span>'
        f"<span>{escape(sentence(summary))}</span></{heading}>"
        f'<p class="iv-about">{escape(about(summary))}</p>'
        + (f'<ul class="iv-messages">{said}</ul>' if said else "")
        + f'<dl class="iv-figures">{shown}</dl></section>'
    )


def _texts(said: Any) -> list[str]:
    if isinstance(said, dict):
        return [
            str(value.get("message") or f"Guard {name} stopped the run.")
            if isinstance(value, dict)
            else f"{name}: {value}"
            for name, value in said.items()
            if not isinstance(value, dict) or value.get("message") or value.get("stopped")
        ]
    if isinstance(said, str):
        return [said]
    if not isinstance(said, list):
        return []
    spoke = [one for one in said if not isinstance(one, dict) or one.get("stopped", True)]
    return [str(one.get("message") or one.get("name") or one) if isinstance(one, dict) else str(one) for one in spoke]


def _every(good: int | None) -> str:
    return "every pair of item and location" if good is None else f"all {_many(good, 'pair')} it should keep"


def _positive(value: int | None) -> int | None:
    return None if value is None else abs(value)


def _shown(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def _many(value: int, noun: str) -> str:
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def _verb(value: int, one: str, many: str) -> str:
    return one if value == 1 else many
