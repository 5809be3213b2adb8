"""A week of shadow mode beside a plain reset: its figures equal what the shop's journal says."""

from datetime import timedelta
from pathlib import Path

import pytest
from test_shadow import check, watched
from watching import watching

HOURS = range(8, 20)  # in which the shop sells


def test_a_week_beside_a_plain_reset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with watching(tmp_path, monkeypatch) as watch:
        start = watch.world.start
        looks = [start + timedelta(days=day, hours=hour) for day in range(7) for hour in HOURS]
        facts = watched(watch, looks)
        check(watch, facts)
        print(f"put back: {sum(watch.put_back.values()):,} units of {len(watch.put_back):,} products, ", end="")
        print(f"{len(watch.hours_wrong()):,} levels wrong, {sum(watch.hours_wrong().values()):,.0f} hours in all")
