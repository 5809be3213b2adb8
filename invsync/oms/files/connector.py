"""HotWax's exported files as a source."""

from typing import Literal

from invsync.config.connectors import Ask, Connector, OmsSettings
from invsync.config.fields import Variable


class FilesSettings(OmsSettings):
    """A folder, or any fsspec URL, with the variable that holds its password."""

    kind: Literal["files"] = "files"
    path: str | None = None
    password_env: Variable | None = None

    @property
    def address(self) -> tuple[str | None, ...]:
        """The folder."""
        return (self.path,)


def setup(ask: Ask) -> dict[str, str]:
    """Ask for the folder."""
    return {"path": ask("path", "Folder or fsspec URL of the exported files")}


CONNECTOR = Connector(label="files", settings=FilesSettings, setup=setup, reader="invsync.oms.files.source:open_export")
