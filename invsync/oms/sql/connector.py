"""HotWax's database, or a replica of it, as a source."""

from typing import Literal

from pydantic import Field

from invsync.config.connectors import Ask, Connector, OmsSettings
from invsync.config.fields import Variable


class DatabaseSettings(OmsSettings):
    """A SQLAlchemy URL, or the name of the variable that holds it."""

    kind: Literal["database"] = "database"
    url: str | None = Field(default=None, repr=False)
    url_env: Variable | None = None

    @property
    def address(self) -> tuple[str | None, ...]:
        """The URL, as it is configured."""
        return self.url, self.url_env


def setup(ask: Ask) -> dict[str, str]:
    """Ask for the URL, or for the variable that holds it."""
    if url := ask("url", "SQLAlchemy URL of HotWax's database (empty: it holds a secret)", ""):
        return {"url": url}
    return {"url_env": ask("url_env", "Variable that holds the database's URL", "HOTWAX_URL")}


CONNECTOR = Connector(
    label="database",
    settings=DatabaseSettings,
    setup=setup,
    reader="invsync.oms.sql.source:open_database",
    checks="invsync.oms.sql.rights:CHECKS",
    ping="invsync.oms.sql.ping:answers",
)
