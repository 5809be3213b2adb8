"""The connectors: ways to read an OMS, each declared by a package of `invsync.oms` and registered here.

The configuration is imported before the readers, so a connector is registered by its address and imported when it is
needed. A connector is light: it only names its reader, which is imported when a source is opened.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Protocol

from invsync.config.fields import Part, Zone

DEFAULT = "database"
REGISTERED = {
    "database": "invsync.oms.sql.connector:CONNECTOR",
    "rest": "invsync.oms.rest.connector:CONNECTOR",
    "files": "invsync.oms.files.connector:CONNECTOR",
}


class OmsSettings(Part):
    """The keys of a shop's `oms` table that all connectors have.

    They name the shop, product store and facility group in the OMS, and the time zone of timestamps without one.
    """

    kind: str = DEFAULT
    shop_id: str
    product_store_id: str | None = None
    facility_group_id: str | None = None
    timezone: Zone = "UTC"

    @property
    def address(self) -> tuple[str | None, ...]:
        """Where the OMS is; shops with equal addresses read the same one."""
        return ()


class Ask(Protocol):
    """Asks one setup question."""

    def __call__(self, key: str, question: str, default: str | None = None) -> str:
        """Return the value that was given for a key, or else the answer; without a default, an answer is required."""


@dataclass(frozen=True)
class Connector:
    """One way to read an OMS, as its package declares it.

    `label` is its name in doctor's output. `settings` is the model of a shop's `oms` table, and `setup` asks for the
    keys in it that are the connector's own. `reader`, `checks` and `ping` are addresses, as "package.module:name": of a
    function (settings, tries) that returns an `oms.Source`, of a list of `oms.checks.SourceCheck`, and of a function
    (settings, seconds) that returns whether the OMS answers; without one it always does.
    """

    label: str
    settings: type[OmsSettings]
    setup: Callable[[Ask], dict[str, str]]
    reader: str
    checks: str = ""
    ping: str = ""


def connector(kind: str) -> Connector:
    """Return the connector of this name; raises ValueError for a name that is not registered."""
    if kind not in REGISTERED:
        raise ValueError(f"kind {kind!r} is none of {', '.join(REGISTERED)}")
    declared: Connector = resolve_name(REGISTERED[kind])
    return declared


def oms_settings(values: object) -> object:
    """Return an `oms` table as the settings of its connector; what is not a table is returned as it is.

    Keys of other connectors are left out, so that one line, or one variable, switches a shop from one to another.
    Raises ValueError (pydantic's too) where a value is wrong.
    """
    if not isinstance(values, Mapping):
        return values
    kind = values.get("kind", DEFAULT)
    model = connector(kind).settings if isinstance(kind, str) else OmsSettings
    others = {key for other in REGISTERED for key in connector(other).settings.model_fields} - set(model.model_fields)
    return model(**{key: value for key, value in values.items() if key not in others})
