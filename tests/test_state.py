"""The state: the outbox with its claims, remembered orders and levels, and the lease."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from builders import rows, sold

from invsync.errors import GuardStopped, LeaseHeld, LeaseLost
from invsync.state import CLAIMS, LEVEL_MEMORY, File, Lease, State, lease

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(f"sqlite:///{tmp_path}/invsync.db")


@pytest.fixture
def held(state: State) -> Iterator[Lease]:
    with state.lease("demo", "R1") as lease:
        yield lease


def claims(*values: tuple[str, int, str], run_id: str = "R1", at: datetime | None = AT) -> pl.DataFrame:
    return pl.DataFrame(
        [(event, place, 1, status, run_id, at) for event, place, status in values], schema=CLAIMS, orient="row"
    )


def statuses(state: State) -> dict[tuple[str, int], str]:
    with state.engine.connect() as connection:
        rows = connection.execute(sa.text("select event_id, location_id, status from claim"))
        return {(event, place): status for event, place, status in rows}


# -- the outbox


def test_files_and_their_claims_are_committed_together(state: State, held: Lease, tmp_path: Path) -> None:
    state.outbox.commit(
        held, "R1", [File(1, tmp_path / "a", "x")], transport="direct", claims=claims(("E1", 7, "sent"))
    )

    with pytest.raises(sa.exc.IntegrityError):
        state.outbox.commit(
            held, "R1", [File(1, tmp_path / "b", "y")], transport="direct", claims=claims(("E2", 7, "sent"))
        )

    assert statuses(state) == {("E1", 7): "sent"}
    assert [file.path.name for file in state.outbox.pending("demo")] == ["a"]


def test_a_file_that_replaces_another_settles_it_in_the_same_transaction(
    state: State, held: Lease, tmp_path: Path
) -> None:
    state.outbox.commit(held, "R1", [File(1, tmp_path / "a", "x")], transport="direct")

    state.outbox.commit(held, "R1", [File(2, tmp_path / "b", "y")], transport="direct", answered=[1])

    assert [file.part for file in state.outbox.pending("demo")] == [2]
    assert [part for part, _ in state.outbox.parts("R1")] == [1, 2]


def test_the_database_keeps_a_file_without_a_guard_until_it_is_settled(
    state: State, held: Lease, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"lines")
    state.outbox.commit(held, "R1", [File(1, tmp_path / "a", "x")], transport="direct", guarded=False)
    (file,) = state.outbox.pending("demo")
    assert state.outbox.content(file) == b"lines"

    state.outbox.settle("R1", 1, "answered")

    assert state.outbox.content(file) is None


@pytest.mark.parametrize("place", [7, 0])
def test_a_file_with_an_event_that_another_run_claimed_is_not_committed(
    state: State, held: Lease, tmp_path: Path, place: int
) -> None:
    state.outbox.claim("demo", claims(("E1", place, "sent"), run_id="R0"))

    with pytest.raises(GuardStopped, match="run R0 has counted 1 of its stock events"):
        state.outbox.commit(
            held,
            "R1",
            [File(1, tmp_path / "a", "x")],
            transport="direct",
            claims=claims(("E1", 7, "sent"), ("E2", 7, "sent")),
        )

    assert statuses(state) == {("E1", place): "sent"}
    assert state.outbox.pending("demo") == []


# -- claims


def test_a_claim_can_be_given_back_and_is_then_the_oldest_open_event(state: State) -> None:
    state.outbox.claim("demo", claims(("E1", 7, "reset"), ("E1", 8, "reset")))
    assert state.outbox.oldest_open("demo") is None

    state.outbox.release("demo", "R1", pl.DataFrame({"inventory_item_id": [1], "location_id": [7]}))

    assert statuses(state) == {("E1", 7): "released", ("E1", 8): "reset"}
    assert state.outbox.oldest_open("demo") == AT


def test_a_released_claim_can_be_taken_by_another_run(state: State) -> None:
    state.outbox.claim("demo", claims(("E1", 7, "released"), ("E2", 7, "sent")))

    state.outbox.claim("demo", claims(("E1", 7, "reset"), ("E2", 7, "reset"), run_id="R2"))

    assert statuses(state) == {("E1", 7): "reset", ("E2", 7): "sent"}


def test_claims_are_read_by_their_event_whatever_its_stamp(state: State) -> None:
    state.outbox.claim("demo", claims(("E1", 7, "sent"), at=AT - timedelta(days=900)))
    state.outbox.claim("demo", claims(("E2", 7, "sent"), at=None))

    assert state.outbox.claims("demo", events=pl.Series(["E1", "E3"]))["event_id"].to_list() == ["E1"]


def test_unknown_claims_are_listed_until_a_reset_counts_them(state: State) -> None:
    state.outbox.claim("demo", claims(("E1", 7, "unknown"), ("E2", 8, "unknown"), ("E3", 7, "sent")))
    assert set(state.outbox.unknown("demo")["event_id"]) == {"E1", "E2"}

    state.outbox.settle_unknown("demo", pl.DataFrame({"inventory_item_id": [1], "location_id": [7]}), "R2")

    assert state.outbox.unknown("demo")["event_id"].to_list() == ["E2"]
    assert statuses(state)["E1", 7] == "reset"


# -- memory


def test_remembered_orders_are_replaced_whole(state: State) -> None:
    assert state.memory.ledger("demo") is None

    for orders in ([1, 2], [2]):
        rows = sold(*((order, 7, 9, 3) for order in orders))
        state.memory.remember("demo", rows, orders, thru=AT, since=AT - timedelta(days=14))

    kept = state.memory.ledger("demo")
    assert kept is not None and kept.sold.equals(sold((2, 7, 9, 3)))
    assert (kept.in_flight, kept.thru, kept.since) == ([2], AT, AT - timedelta(days=14))


def test_only_the_memory_of_levels_that_were_read_is_replaced(state: State) -> None:
    memory = rows(LEVEL_MEMORY, (1, 7, 2, False, None, None), (2, 7, 0, True, AT, AT))
    state.memory.remember_levels("demo", memory, memory)
    assert state.memory.levels("demo").sort("inventory_item_id").equals(memory)

    state.memory.remember_levels("demo", memory[:1], memory.clear())
    assert state.memory.levels("demo").equals(memory[1:])


def test_a_watched_pair_keeps_the_rest_of_its_memory(state: State) -> None:
    memory = rows(LEVEL_MEMORY, (1, 7, 2, False, AT, AT))
    state.memory.remember_levels("demo", memory, memory)

    state.memory.watch("demo", pl.DataFrame({"inventory_item_id": [1, 3], "location_id": [7, 7]}))

    wanted = rows(LEVEL_MEMORY, (1, 7, 2, True, AT, AT), (3, 7, 0, True, None, None))
    assert state.memory.levels("demo").sort("inventory_item_id").equals(wanted)


# -- the lease


def silent(state: State, seconds: int = 61) -> None:
    """Set the last heartbeat to this long ago by the database's clock."""
    at = (state.now() - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    with state.engine.begin() as connection:
        connection.execute(sa.text("update lease set heartbeat = :at"), {"at": at})


def test_a_living_holder_keeps_the_shop(state: State) -> None:
    with state.lease("demo", "R1") as first:
        assert (first.took_over, first.fence) == (None, 1)
        with pytest.raises(LeaseHeld, match=f"process {os.getpid()}"), state.lease("demo", "R2"):
            pass
        assert state.holder("demo") == "R1"
    with state.lease("demo", "R3") as next_one:
        assert (next_one.took_over, next_one.fence) == (None, 2)


def test_a_shop_is_taken_over_at_once_when_its_process_has_ended(state: State, tmp_path: Path) -> None:
    leave = (
        "import os; from invsync.state import State, lease; "
        f"lease.take(State('sqlite:///{tmp_path}/invsync.db').engine, 'demo', 'R1'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", leave], check=False)

    assert state.holder("demo") is None
    with state.lease("demo", "R2") as held:
        assert (held.took_over, held.fence) == ("R1", 2)


def test_a_process_that_reuses_a_number_is_not_mistaken_for_the_holder(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease.take(state.engine, "demo", "R1")
    monkeypatch.setattr("invsync.state.process.started", lambda pid: "another")

    assert state.holder("demo") is None


def test_on_another_machine_only_the_heartbeat_counts(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    lease.take(state.engine, "demo", "R1")
    monkeypatch.setattr("invsync.state.process.machine", lambda: "another boot")
    monkeypatch.setattr("invsync.state.process.started", lambda pid: None)
    assert state.holder("demo") == "R1"

    silent(state)

    assert state.holder("demo") is None


def test_a_holder_without_heartbeats_is_taken_over_and_sends_nothing_more(
    state: State, held: Lease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent(state)
    with state.lease("demo", "R2") as second:
        assert second.took_over == "R1"

        with pytest.raises(LeaseLost, match="another run took over shop demo"):
            state.outbox.commit(held, "R1", [File(1, tmp_path / "a", "x")], transport="direct")
        monkeypatch.setattr(lease, "STOP_SECONDS", -1)
        with pytest.raises(LeaseLost):
            held.check()
        second.check()
        held.release()
        assert state.holder("demo") == "R2"
    assert state.outbox.pending("demo") == []


def test_a_commit_that_takes_longer_than_the_lease_keeps_the_shop(
    state: State, held: Lease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its transaction holds the fence, so that no heartbeat is written beside it."""
    silent(state)

    state.outbox.commit(held, "R1", [File(1, tmp_path / "a", "x")], transport="direct")

    with pytest.raises(LeaseHeld), state.lease("demo", "R2"):
        pass


def test_a_run_that_stood_still_and_still_holds_its_shop_goes_on(
    state: State, held: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent(state)
    monkeypatch.setattr(lease, "STOP_SECONDS", -1)

    held.check()

    assert state.holder("demo") == "R1"
    with pytest.raises(LeaseHeld), state.lease("demo", "R2"):
        pass


def test_a_heartbeat_is_written_by_the_clock_of_the_database(state: State, held: Lease) -> None:
    with state.engine.connect() as connection:
        beat = connection.execute(sa.text("select heartbeat from lease")).scalar_one()

    assert abs(datetime.fromisoformat(beat) - state.now()) < timedelta(seconds=5)


def test_another_process_of_the_run_joins_its_lease(state: State, held: Lease, tmp_path: Path) -> None:
    take_part = (
        "import os; from invsync.state import State; "
        f"lease = State('sqlite:///{tmp_path}/invsync.db').joined('demo', 'R1'); print(os.getpid(), lease.fence)"
    )
    done = subprocess.run([sys.executable, "-c", take_part], capture_output=True, text=True, check=True)
    pid, fence = map(int, done.stdout.split())

    with state.engine.connect() as connection:
        assert connection.execute(sa.text("select pid from lease")).scalar() == pid
    assert fence == held.fence
    with pytest.raises(LeaseLost):
        state.joined("demo", "R2")


def test_of_two_runs_that_take_a_shop_at_once_one_gets_it(state: State) -> None:
    got: list[str] = []
    start = threading.Barrier(8)

    def take(run_id: str) -> None:
        start.wait()
        try:
            lease.take(state.engine, "demo", run_id)
            got.append(run_id)
        except LeaseHeld:
            pass

    threads = [threading.Thread(target=take, args=(f"R{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(got) == 1


# -- shops


def test_a_shop_is_kept_under_its_first_name_whatever_it_is_called(state: State) -> None:
    assert state.shops.known_as("a.myshopify.com") is None
    assert state.shops.kept_as("acme", "a.myshopify.com") == "acme"
    assert state.shops.kept_as("acme-new", "a.myshopify.com") == "acme"
    assert state.shops.kept_as("acme", "b.myshopify.com") == "b.myshopify.com"


def test_sandboxes_of_one_domain_are_distinct_by_address_and_keep_their_name_when_it_changes(
    state: State,
) -> None:
    def shop(port: int, domain: str = "demo.myshopify.com") -> str:
        return f"{domain} http://127.0.0.1:{port}"

    assert [state.shops.kept_as(name, shop(port)) for name, port in (("one", 1), ("two", 2))] == ["one", "two"]
    assert state.shops.kept_as("one", shop(3)) == "one" and state.shops.known_as(shop(1)) is None
    assert state.shops.kept_as("one", shop(4, "other.myshopify.com")) == shop(4, "other.myshopify.com")


def test_a_shop_waits_for_a_hard_sync_until_one_is_done(state: State) -> None:
    state.shops.kept_as("acme", "a.myshopify.com")

    state.shops.require_hard_sync("acme", "restored")
    assert state.shops.needs_hard_sync("acme") == "restored"
    state.shops.require_hard_sync("acme", None)
    assert state.shops.needs_hard_sync("acme") is None
