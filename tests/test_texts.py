"""Texts from outside: whatever their encoding, and other systems' words in one harmless line."""

import json

import pytest

from invsync.inputs import texts

TOKEN = "shpat_planted_0123456789abcdef"
PAGE = """<!doctype html><html><head><title>Be right back</title><style>p { color: red }</style>
<script>var a = "</p>";</script></head><body><!-- 503 --><h1>We&#39;ll be back</h1><p>Maintenance until
14:00&nbsp;UTC.</p></body></html>"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_file_is_read_in_the_encoding_that_it_has(encoding: str) -> None:
    content = "url = 1".encode(encoding)

    assert content.decode(texts.encoding(content)) == "url = 1"


def test_half_a_surrogate_pair_becomes_a_mark_and_a_whole_one_stays() -> None:
    assert texts.parsed(r'{"a\ud800": ["\ud83d\ude00", "\udc00x"]}') == {"a\ufffd": ["\U0001f600", "\ufffdx"]}
    assert texts.parsed(b"\xef\xbb\xbf[1]") == [1]


def test_a_page_is_quoted_by_its_words() -> None:
    assert texts.said(PAGE.encode()) == "Be right back We'll be back Maintenance until 14:00 UTC"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"errors": "Unavailable Shop"}, "Unavailable Shop"),
        ({"errors": {"base": ["Not\nso", "Not so"]}}, "Not so"),
        ({"error": "invalid_request", "error_description": "The app is gone."}, "invalid_request; The app is gone"),
        ({"errorCode": 403, "errors": "User sync is not authorized."}, "User sync is not authorized"),
        ([{"message": "One."}, {"message": "Two"}], "One; Two"),
        ({"a": None}, ""),
    ],
)
def test_an_error_is_quoted_whatever_envelope_it_is_in(answer: object, words: str) -> None:
    assert texts.said(json.dumps(answer).encode()) == words


@pytest.mark.parametrize(
    "text",
    [
        f"token {TOKEN} is old",
        f"<b>{TOKEN}</b>",
        "Bearer abcdefgh12345678",
        "at https://user:secret-word@host/",
        "my own",
    ],
)
def test_words_hold_no_secret(text: str) -> None:
    words = texts.quoted(text, ["my own"])

    assert "[hidden]" in words
    assert not any(secret in words for secret in (TOKEN, "abcdefgh12345678", "secret-word", "my own"))


def test_words_are_one_line_of_bounded_length() -> None:
    words = texts.quoted("a\x00b\r\nc\u2028d\u202ee\ud800" + "x" * 1000)

    assert words.startswith("a b c d e\ufffdx") and len(words) == texts.MOST + 1
