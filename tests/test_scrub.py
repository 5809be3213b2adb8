"""What a process has read is removed from its errors, its standard error and a notebook's shell."""

import io
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from urllib.parse import quote

import pytest

from invsync import scrub
from invsync.engine import shell
from invsync.errors import OmsFailed, UsageError

SECRET = 'tok/en"\\&+0123456789'


@pytest.mark.parametrize("form", [str, repr, quote, json.dumps, lambda text: json.dumps(repr(text))])
def test_an_error_holds_no_secret_that_was_read_before(form: Callable[[str], str]) -> None:
    scrub.remember(SECRET)
    error = OmsFailed(f"HotWax said <{form(SECRET)}>: correct it.")

    assert "[secret removed]" in str(error) and scrub.leaks(str(error), [SECRET]) == []
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_an_error_without_a_secret_is_as_it_was() -> None:
    scrub.remember(SECRET)

    assert UsageError("Shop acme is unknown: correct --shop.").args == ("Shop acme is unknown: correct --shop.",)


@pytest.mark.parametrize(
    ("secret", "parts"),
    [
        ("plain-secret", {"plain-secret"}),
        ("abcd", set()),
        ("mysql://sync:pass%40word@db.example.com/hotwaxdb", {"pass%40word", "pass@word"}),
        ("postgresql://sync:pass-word@db/x?application_name=inventory", {"pass-word"}),
        ("slack://T0PLANTED/B0PLANTED/0123456789abc", {"T0PLANTED", "B0PLANTED", "0123456789abc"}),
        ("https://a.example.com/?token=planted-token", {"planted-token"}),
        ("Authorization=Bearer planted-token,X-Scope=shops", {"planted-token"}),
    ],
)
def test_the_parts_of_a_secret_that_are_secrets_are_remembered(secret: str, parts: set[str]) -> None:
    scrub.remember(secret)

    assert set(scrub.remembered()) == parts | ({secret} if len(secret) >= scrub.SHORTEST else set())


def test_a_token_is_remembered_beside_a_header_that_is_an_address() -> None:
    scrub.remember("Authorization=Bearer planted-token,X-From=https://a.example.com/shops")

    assert "planted-token" in scrub.remembered()


def test_the_password_of_an_address_is_a_secret_and_the_rest_of_it_is_none() -> None:
    scrub.remember_address("postgresql://sync:pass-word@db.example.com/state")

    assert scrub.remembered() == ["pass-word"]


def test_standard_error_shows_no_secret_and_stays_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    scrub.remember(SECRET)
    scrub.guard_standard_error()
    scrub.guard_standard_error()
    print(f"said {SECRET}", file=sys.stderr)
    sys.stderr.writelines([f"{SECRET}\n", "end"])

    assert stream.getvalue() == "said [secret removed]\n[secret removed]\nend" and not sys.stderr.isatty()


def test_an_error_that_nobody_expected_is_shown_without_secrets() -> None:
    text = f"""
import threading
from invsync import scrub
scrub.remember({SECRET!r})
scrub.guard_standard_error()
def fail(): raise KeyError({SECRET!r})
thread = threading.Thread(target=fail)
thread.start(); thread.join()
try: fail()
except KeyError as error: raise RuntimeError("planted " + {SECRET!r}) from error
"""
    done = subprocess.run([sys.executable, "-"], input=text, capture_output=True, text=True)

    assert done.returncode == 1 and done.stderr.count("[secret removed]") >= 3
    assert scrub.leaks(done.stderr.replace(repr(text), ""), [SECRET]) == []


class Shell:
    """A shell as a kernel has it."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str, list[str]]] = []

    def _showtraceback(self, kind: type, error: object, lines: list[str]) -> None:
        self.shown.append((kind.__name__, str(error), lines))


def test_a_shell_shows_no_secret_of_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Shell()
    monkeypatch.setattr(shell, "get_ipython", lambda: own)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    scrub.remember(SECRET)
    shell.guard_errors()
    shell.guard_errors()
    own._showtraceback(KeyError, KeyError(SECRET), ["in cell 1", f"KeyError: {SECRET!r}"])

    [(kind, error, lines)] = own.shown
    assert (kind, error, lines[0]) == ("KeyError", "'[secret removed]'", "in cell 1")
    assert scrub.leaks("".join(lines), [SECRET]) == []
