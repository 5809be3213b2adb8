"""How far a long cell is: one line that is written over, and is gone at the end."""

from collections.abc import Iterator
from time import monotonic

from IPython.display import HTML, display

from invsync.simulate.measures import Replay, Watch

EVERY = 0.5  # seconds


def progress(words: str) -> Watch:
    """Passes replays on and shows how many are made, as `words: 12 of 96 replays`."""

    def watch(made: Iterator[Replay], total: int, /) -> Iterator[Replay]:
        shown, at = display(HTML(""), display_id=True), 0.0
        for number, one in enumerate(made):
            if shown is not None and monotonic() - at > EVERY:
                shown.update(HTML(f"<p role='status'>{words}: {number:,} of {total:,} replays</p>"))
                at = monotonic()
            yield one
        if shown is not None:
            shown.update(HTML(""))

    return watch
