"""One call repeated until it is answered: tries, waits and the time budget."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from invsync.errors import OmsFailed
from invsync.oms.rest import endpoints
from invsync.retry import Busy, NoAnswer, Patience, backoff

BUSY = Busy("locked", 30)


def patience(waits: list[float], about: str = "") -> Patience:
    return Patience("HotWax", OmsFailed, waits.append, tries=3, budget=100, backoff=float, about=about)


def attempts(*outcomes: Exception | str) -> Callable[[], str]:
    """An attempt that meets these outcomes in turn."""
    turns: Iterator[Exception | str] = iter(outcomes)

    def attempt() -> str:
        outcome = next(turns)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return attempt


def test_an_answer_is_returned_without_a_wait() -> None:
    waits: list[float] = []

    assert patience(waits).call(attempts("done")) == "done"
    assert waits == []


@pytest.mark.parametrize("failure", [NoAnswer("HTTP 502"), httpx.ReadTimeout("slow")], ids=["no answer", "timeout"])
def test_a_call_without_an_answer_is_tried_again_after_growing_waits(failure: Exception) -> None:
    waits: list[float] = []

    assert patience(waits).call(attempts(failure, failure, "done")) == "done"
    assert waits == [1.0, 2.0]


def test_the_last_try_ends_in_the_error_of_the_system_without_a_wait() -> None:
    waits: list[float] = []

    with pytest.raises(OmsFailed, match=r"^HotWax gave no answer in 3 tries \(HTTP 502\): run again later\.$"):
        patience(waits).call(attempts(*[NoAnswer("HTTP 502")] * 3))
    assert waits == [1.0, 2.0]


def test_a_request_error_is_named_by_its_class() -> None:
    with pytest.raises(OmsFailed, match=r"\(the login: ConnectError\)"):
        patience([], about="the login").call(attempts(*[httpx.ConnectError("down")] * 3))


def test_a_busy_system_is_waited_for_as_long_as_it_says_within_the_budget() -> None:
    waits: list[float] = []

    with pytest.raises(OmsFailed, match=r"^HotWax was busy for 100 seconds \(locked\): run again later\.$"):
        patience(waits).call(attempts(*[BUSY] * 4))
    assert waits == [30, 30, 30]


def test_a_busy_system_that_names_no_time_is_waited_for_by_growing_waits() -> None:
    waits: list[float] = []

    assert patience(waits).call(attempts(Busy("locked"), Busy("locked"), "done")) == "done"
    assert waits == [1.0, 2.0]


def test_waits_for_a_busy_system_use_up_no_tries() -> None:
    failed = NoAnswer("cut")

    assert patience([]).call(attempts(failed, BUSY, BUSY, BUSY, failed, "done")) == "done"


def test_any_other_error_ends_the_call() -> None:
    with pytest.raises(ValueError, match="ours"):
        patience([]).call(attempts(ValueError("ours"), "done"))


def test_the_usual_waits_double_with_jitter_up_to_half_a_minute() -> None:
    for tries in range(1, 12):
        longest = min(30.0, 0.5 * 2**tries)
        assert longest / 2 <= backoff(tries) <= longest


def test_hotwax_is_asked_again_after_exact_waits() -> None:
    assert [endpoints._backoff(tries) for tries in range(1, 8)] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
