"""What survives a crash: the outbox with its claims, remembered orders, the lease."""

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from builders import rows, sold

from invsync.errors import LeaseHeld
from invsync.state import CLAIMS, LEVEL_MEMORY, File, State

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(f"sqlite:///{tmp_path}/invsync.db")


def claims(*values: tuple[str, int, str], run_id: str = "R1", at: datetime | None = AT) -> pl.DataFrame:
    return pl.DataFrame(
        [(event, place, 1, status, run_id, at) for event, place, status in values], schema=CLAIMS, orient="row"
    )


def test_files_and_what_they_cover_are_committed_as_one(state: State, tmp_path: Path) -> None:
    state.commit("demo", "R1", [File(1, tmp_path / "a", "x")], transport="direct", claims=claims(("E1", 7, "sent")))

    with pytest.raises(sa.exc.IntegrityError):
        state.commit("demo", "R1", [File(1, tmp_path / "b", "y")], transport="direct", claims=claims(("E2", 7, "sent")))

    assert state.claims("demo")["event_id"].to_list() == ["E1"]
    assert [file.path.name for file in state.pending("demo")] == ["a"]


def test_a_file_that_carries_on_settles_the_one_before_it_in_the_same_breath(state: State, tmp_path: Path) -> None:
    state.commit("demo", "R1", [File(1, tmp_path / "a", "x")], transport="direct")

    state.commit("demo", "R1", [File(2, tmp_path / "b", "y")], transport="direct", answered=[1])

    assert [file.part for file in state.pending("demo")] == [2]
    assert [part for part, _ in state.parts("R1")] == [1, 2]


def test_a_claim_can_be_given_back_and_is_then_the_oldest_open_event(state: State) -> None:
    state.claim("demo", claims(("E1", 7, "reset"), ("E1", 8, "reset")))
    assert state.oldest_open("demo") is None

    state.release("demo", "R1", pl.DataFrame({"inventory_item_id": [1], "location_id": [7]}))

    assert dict(state.claims("demo").select("location_id", "status").iter_rows()) == {7: "released", 8: "reset"}
    assert state.oldest_open("demo") == AT


def test_claims_are_read_since_a_stamp_to_the_microsecond(state: State) -> None:
    state.claim("demo", claims(("whole", 7, "sent")))
    state.claim("demo", claims(("later", 7, "sent"), at=AT + timedelta(microseconds=1)))
    state.claim("demo", claims(("none", 7, "sent"), at=None))

    assert set(state.claims("demo", since=AT)["event_id"]) == {"whole", "later", "none"}
    assert set(state.claims("demo", since=AT + timedelta(microseconds=1))["event_id"]) == {"later", "none"}


def test_remembered_orders_are_replaced_whole(state: State) -> None:
    assert state.ledger("demo") is None

    for orders in ([1, 2], [2]):
        rows = sold(*((order, 7, 9, 3) for order in orders))
        state.remember("demo", rows, orders, thru=AT, since=AT - timedelta(days=14))

    kept = state.ledger("demo")
    assert kept is not None and kept.sold.equals(sold((2, 7, 9, 3)))
    assert (kept.in_flight, kept.thru, kept.since) == ([2], AT, AT - timedelta(days=14))


def test_only_the_levels_that_were_read_are_remembered_anew(state: State) -> None:
    memory = rows(LEVEL_MEMORY, (1, 7, 2, False, None, None), (2, 7, 0, True, AT, AT))
    state.remember_levels("demo", memory, memory)
    assert state.level_memory("demo").sort("inventory_item_id").equals(memory)

    state.remember_levels("demo", memory[:1], memory.clear())
    assert state.level_memory("demo").equals(memory[1:])


def test_a_living_holder_keeps_the_shop_and_one_that_is_gone_is_told(state: State) -> None:
    with state.lease("demo", "R1") as gone:
        assert gone is None
        with pytest.raises(LeaseHeld, match=f"process {os.getpid()}"), state.lease("demo", "R2"):
            pass
    child = os.fork()
    if child == 0:
        State(str(state._engine.url))._take("demo", "R3")
        os._exit(0)
    os.waitpid(child, 0)
    with state.lease("demo", "R4") as gone:
        assert gone == "R3"


def test_of_two_that_take_the_shop_at_once_one_gets_it(state: State) -> None:
    got: list[str] = []
    start = threading.Barrier(8)

    def take(run_id: str) -> None:
        start.wait()
        try:
            state._take("demo", run_id)
            got.append(run_id)
        except LeaseHeld:
            pass

    threads = [threading.Thread(target=take, args=(f"R{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(got) == 1
