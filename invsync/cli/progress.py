"""The step that a running job is in, read from the notebook that papermill saves before and after every cell."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

EVERY = 0.3
Tell = Callable[[str], None]


@contextmanager
def told(folder: Path, tell: Tell) -> Iterator[None]:
    """Tell each heading that a new run below this folder reaches, for as long as the block lasts."""
    ended = threading.Event()
    follower = threading.Thread(target=_follow, args=(folder, _newest(folder), ended, tell), daemon=True)
    follower.start()
    try:
        yield
    finally:
        ended.set()
        follower.join()


def _newest(folder: Path) -> str:
    return max((path.name for path in folder.iterdir()), default="") if folder.exists() else ""


def _follow(folder: Path, before: str, ended: threading.Event, tell: Tell) -> None:
    last: str | None = None
    while not ended.wait(EVERY):
        run_id = _newest(folder)
        now = step(folder / run_id / "report.ipynb") if run_id > before else None
        if now and now != last:
            tell(now)
            last = now


def step(notebook: Path) -> str | None:
    """The heading above the cell that runs now; None while none runs or the file is being written."""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError):
        return None
    heading = None
    for cell in cells:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown" and text.startswith("#"):
            heading = text.splitlines()[0].lstrip("# ")
        if cell["metadata"].get("papermill", {}).get("status") == "running":
            return heading
    return None
