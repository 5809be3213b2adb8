"""Every subject of the bench at a tiny size: its variants agree, and its targets can be evaluated."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.bench import SUBJECTS
from tests.bench.measure import Measured, Target

PANDAS = ["pandas", "pyarrow"]
PEERS = {"variances": PANDAS, "events": PANDAS, "adjustments": ["orjson"], "levels": ["msgspec"]}
LONG = {"nochange", "commands", "pacing", "idle"}  # they start kernels, or wait; other tests run the same code


@pytest.mark.parametrize("name", [name for name in SUBJECTS if name not in LONG])
def test_the_variants_of_a_subject_agree(name: str, tmp_path: Path) -> None:
    for peer in PEERS.get(name, []):
        pytest.importorskip(peer, reason=f"the extra 'bench' is not installed: {peer} is missing")
    subject: Any = import_module(f"tests.bench.{name}")
    subject.prepare(tmp_path, 0.001)

    made = {variant: subject.digest(prepared(tmp_path)()) for variant, prepared in subject.VARIANTS.items()}

    assert len({made[variant] for variant in made if variant not in getattr(subject, "LIMITS", [])}) == 1
    one = {variant: Measured(wall=1.0, cpu=1.0, peak=1.0, whole=1.0, digest="") for variant in made}
    assert all(target.number(one) > 0 for target in subject.TARGETS)


def test_a_target_is_met_at_its_bound_and_missed_beyond_it() -> None:
    low, high = (Target("", lambda m: 0.0, **{side: 2.0}) for side in ("at_least", "at_most"))

    assert [low.met(x) for x in (1.9, 2.0)] == [False, True]
    assert [high.met(x) for x in (2.0, 2.1)] == [True, False]
