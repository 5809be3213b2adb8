"""What holds for every test: a property may take its time, one seed a run, and nothing is asked beyond this machine."""

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from rehearsal import Rehearsal

HERE = {None, "", "localhost", "127.0.0.1", "::1", "0.0.0.0"}

settings.register_profile("patient", deadline=None)  # a busy machine is no failure
settings.load_profile("patient")
os.environ.setdefault("INVSYNC_SEED", str(random.SystemRandom().randrange(2**32)))


def only_this_machine(event: str, given: tuple[Any, ...]) -> None:
    """Refuse to look up or to reach any other machine."""
    if event == "socket.getaddrinfo":
        host = given[0]
    elif event == "socket.connect" and isinstance(given[1], tuple):
        host = given[1][0]
    else:
        return
    if (host.decode() if isinstance(host, bytes) else host) not in HERE:
        raise RuntimeError(f"A test would have reached {host}: give it an address on 127.0.0.1.")


sys.addaudithook(only_this_machine)


@pytest.fixture(autouse=True)
def no_secret_of_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins as a process that has read no secret."""
    monkeypatch.setattr("invsync.scrub._remembered", set())


@pytest.fixture
def rehearsal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[Rehearsal]":
    """A shop on loopback and the OMS that feeds it, empty but for a warehouse and a location."""
    from rehearsal import open_rehearsal

    with open_rehearsal(tmp_path, monkeypatch) as built:
        yield built
