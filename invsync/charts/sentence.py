"""A sentence in place of a chart, where there is nothing to draw."""

from dataclasses import dataclass
from typing import Any, Protocol

from invsync.charts.theme import in_words


class Chart(Protocol):
    """A chart of Altair's, or a sentence in its place; notebooks display both."""

    def to_dict(self) -> dict[str, Any]:
        """Return the Vega-Lite specification, with the text alternative in `description`."""
        ...


@dataclass(frozen=True)
class Sentence:
    """Says why there is nothing to draw."""

    words: str

    def to_dict(self) -> dict[str, Any]:
        """Return a specification that `render` writes as text."""
        return {"description": self.words, "usermeta": {"sentence": True}}

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return in_words(self.words)


def sentence(words: str) -> Sentence:
    """Return a sentence to display in place of a chart."""
    return Sentence(words)
