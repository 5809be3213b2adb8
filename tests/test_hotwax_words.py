"""What HotWax itself says of a failure stands in the sentence, in one line and without a secret."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from invsync.errors import OmsFailed
from invsync.oms import open_source
from invsync.oms.rest import endpoints
from invsync.oms.rest.connector import RestSettings
from invsync.sandbox.server import hosting

PASSWORD = "planted-password"
PAGE = "<html><head><title>503</title></head><body><h1>HotWax is being upgraded</h1><script>x</script></body></html>"
Answers = Callable[..., str]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    """The sentence about a HotWax that answers its login, and everything else, in these ways."""
    monkeypatch.setenv("HOTWAX_PASSWORD", f"{PASSWORD}\n")
    monkeypatch.setattr(endpoints, "BACKOFF", 0.0)

    def sentence(login: Response, other: Response) -> str:
        async def answer(request: Request) -> Response:
            return login if request.url.path.endswith("/login") else other

        with hosting(Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])) as address:
            oms = RestSettings(url=address, username="sync", password_env="HOTWAX_PASSWORD", shop_id="S")
            with pytest.raises(OmsFailed) as refusal:
                open_source(oms, tries=2)
        return str(refusal.value)

    yield sentence


WELCOME = {"token": "planted-token", "expirationTime": 4_102_444_800_000}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (
            JSONResponse({"errorCode": 403, "errors": "User sync is not\nauthorized"}, 403),
            "(HTTP 403: User sync is not authorized): check its token and its rights.",
        ),
        (JSONResponse({"errorCode": 500, "errors": "Entity is locked"}, 500), "HTTP 500: Entity is locked): run again"),
        (HTMLResponse(PAGE, 503), "HTTP 503: 503 HotWax is being upgraded): run again later."),
        (HTMLResponse(PAGE, 200), "no JSON: HTTP 200: 503 HotWax is being upgraded): run again later."),
        (JSONResponse({"errors": "planted-token is bad"}, 500), "HTTP 500: [hidden] is bad)"),
        (JSONResponse({"_ERROR_MESSAGE_LIST_": ["No view", "No view"]}), "answered with no rows (No view)"),
    ],
    ids=["403", "500", "503", "200", "token", "list"],
)
def test_hotwaxs_own_words_are_in_the_sentence(said: Answers, other: Any, words: str) -> None:
    refusal = said(JSONResponse(WELCOME), other)

    assert words in refusal and "\n" not in refusal and "planted" not in refusal


@pytest.mark.parametrize(
    ("login", "words"),
    [
        (
            JSONResponse({"errors": f"Password {PASSWORD} has expired"}, 401),
            "login of sync (HTTP 401: Password [hidden] has expired)",
        ),
        (HTMLResponse(PAGE, 503), "the login was answered with HTTP 503: 503 HotWax is being upgraded"),
        (HTMLResponse(PAGE, 200), "the login was answered with HTTP 200: 503 HotWax is being upgraded"),
        (JSONResponse(["x"]), "refused the login of sync"),
    ],
    ids=["expired", "503", "200", "list"],
)
def test_what_a_login_is_answered_with_is_in_the_sentence(said: Answers, login: Any, words: str) -> None:
    refusal = said(login, JSONResponse([]))

    assert words in refusal and PASSWORD not in refusal
