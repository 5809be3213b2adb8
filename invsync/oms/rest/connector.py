"""HotWax's HTTP APIs, Moqui's and OFBiz's, as a source."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from invsync.config.connectors import Ask, Connector, OmsSettings
from invsync.config.fields import Address, Variable


class RestSettings(OmsSettings):
    """Moqui's address (`url`) and OFBiz's, with a long-lived token, or a user and a password."""

    kind: Literal["rest"] = "rest"
    url: Address | None = Field(default=None, repr=False)
    ofbiz_url: Address | None = None
    token_env: Variable | None = None
    username: str | None = None
    password_env: Variable | None = None
    page_size: Annotated[int, Field(ge=1)] = 500
    at_once: Annotated[int, Field(ge=1, le=16)] = 4

    @model_validator(mode="after")
    def _is_complete(self) -> "RestSettings":
        if not self.url or not (self.token_env or (self.username and self.password_env)):
            raise ValueError("kind rest needs url, and token_env or username and password_env")
        return self

    @property
    def address(self) -> tuple[str | None, ...]:
        """Moqui's address."""
        return (self.url,)


def setup(ask: Ask) -> dict[str, str]:
    """Ask for the addresses, and for the variable that holds the user's password or the token."""
    answers = {
        "url": ask("url", "Moqui address (for example https://acme-maarg.hotwax.io)"),
        "ofbiz_url": ask("ofbiz_url", "OFBiz address (for example https://acme-oms.hotwax.io; empty: none)", ""),
        "username": ask("username", "User of the APIs (empty: a long-lived token)", ""),
    }
    secret = "password" if answers["username"] else "token"
    variable = ask("hotwax_env", f"Variable that holds HotWax's {secret}", f"HOTWAX_{secret.upper()}")
    return answers | {f"{secret}_env": variable}


CONNECTOR = Connector(
    label="APIs",
    settings=RestSettings,
    setup=setup,
    reader="invsync.oms.rest.source:open_apis",
    checks="invsync.oms.rest.checks:CHECKS",
    ping="invsync.oms.rest.ping:answers",
)
