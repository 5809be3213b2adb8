"""The configuration as a frozen value: `invsync.toml`, overridden by INVSYNC_ variables; secrets are only named."""

import os
import re
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from invsync import scrub
from invsync.config.connectors import OmsSettings as OmsSettings
from invsync.config.connectors import oms_settings
from invsync.config.fields import LOOPBACK as LOOPBACK
from invsync.config.fields import (
    Address,
    Cron,
    Domain,
    Locale,
    Part,
    ProductPage,
    Share,
    Variable,
    Zone,
    days,
)
from invsync.config.operations import AlertSettings as AlertSettings
from invsync.config.operations import TelemetrySettings as TelemetrySettings
from invsync.config.secrets import by_variable as by_variable
from invsync.config.secrets import read as read
from invsync.config.secrets import rotated as rotated
from invsync.config.secrets import secret as secret
from invsync.config.secrets import texts_of as texts_of
from invsync.config.secrets import token as token
from invsync.config.secrets import variables as variables
from invsync.errors import UsageError
from invsync.inputs import texts

SHOP_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
LOCATION_ID = re.compile(r"[1-9][0-9]{0,18}")
SQLITE, PREFIX = "sqlite:///", "INVSYNC_"


class StateSettings(Part):
    """The state database (any SQLAlchemy URL), and for how many days its rows are kept; 0 means for ever."""

    url: str = Field(default="sqlite:///invsync.db", repr=False)
    keep_claims_days: Annotated[int, Field(ge=0), days(60)] = 400
    keep_runs_days: Annotated[int, Field(ge=0), days(30)] = 400
    keep_webhooks_days: Annotated[int, Field(ge=0), days(3)] = 7


class ReportSettings(Part):
    """Where run folders are written, for how many days they are kept (0: for ever), and where a copy goes.

    `address` is where people open them, so that an alert can link to its page.
    """

    path: str = "reports"
    address: Address | None = None
    keep_days: Annotated[int, Field(ge=0), days(30)] = 0
    copy_to: str | None = None


class Guards(Part):
    """Limits; a run that would exceed one stops before anything is sent."""

    max_zeroed_share: Share = 0.05
    max_changed_share: Share = 0.5
    max_units: int = 100_000
    min_rows_share: Share = 0.8
    min_pairs: int = 20


class Buffer(Part):
    """Units hidden from Shopify, subtracted only down to 0: one number, or a Parquet/CSV table of pairs.

    The table has inventory_item_id, location_id and units; a row that belongs to no mapped pair is refused.
    """

    units: Annotated[int, Field(ge=0)] = 0
    table: str | None = None


class Schedule(Part):
    """When each job runs, as cron expressions in UTC."""

    upload_recent_changes: Cron = "*/15 * * * *"
    hard_sync: Cron = "0 3 * * *"
    push_deltas: Cron = "*/5 * * * *"
    shadow: Cron = "*/15 * * * *"


class ShopSettings(Part):
    """One Shopify shop, and the OMS that it is kept in step with."""

    domain: Domain
    api_version: Annotated[str, Field(pattern=r"^20\d\d-(01|04|07|10)$")] = "2026-10"
    endpoint: Address | None = None
    token_env: Variable | None = None
    client_id: str | None = None
    client_secret_env: Variable | None = None
    webhook_secret_env: Variable | None = None
    webhook_url: Address | None = None
    hotwax_product_page: ProductPage | None = None
    timezone: Zone = "UTC"
    locale: Locale = "en"
    keep_by: Literal["resets", "deltas", "another"] = "resets"
    aggregate_location: int | None = None
    activate_levels: bool = False
    orders_lookback_days: Annotated[int, Field(ge=1, le=60)] = 14
    orders_settle: Annotated[int, Field(ge=1, description="minutes until every order is visible")] = 10
    orders_settle_seconds: Annotated[
        int, Field(ge=0, description="for which a change that no order explains is fresh")
    ] = 60
    orders_again_after: Annotated[float, Field(ge=0, le=60, description="seconds until orders are read again")] = 2
    set_aside: tuple[Literal["damaged", "quality_control", "safety_stock"], ...] = ()
    overlap_minutes: Annotated[int, Field(ge=0)] = 15
    late_after_minutes: Annotated[int, Field(ge=1)] = 60
    delta_reasons: tuple[str, ...] | None = None
    delta_overlap_hours: Annotated[int, Field(ge=1)] = 24
    plan_max_age: Annotated[int, Field(ge=1, description="minutes")] = 60
    api_share: Annotated[float, Field(gt=0, le=1, description="of Shopify's cost bucket that calls may use")] = 1
    bulk_stall: Annotated[int, Field(ge=1, description="minutes")] = 10
    oms: Annotated[OmsSettings, BeforeValidator(oms_settings)]
    guards: Guards = Guards()
    buffer: Buffer = Buffer()
    schedule: Schedule = Schedule()
    alerts: AlertSettings = AlertSettings()

    @field_validator("aggregate_location", mode="before")
    @classmethod
    def _digits(cls, value: object) -> object:
        if value is not None and not LOCATION_ID.fullmatch(str(value)):
            raise ValueError(f"{value!r} is not a location's digits; write the number at the end of its address")
        return value

    @model_validator(mode="after")
    def _has_credentials(self) -> "ShopSettings":
        if not self.token_env and not (self.client_id and self.client_secret_env):
            raise ValueError("name token_env, or client_id and client_secret_env")
        return self

    @property
    def identity(self) -> str:
        """What identifies the shop under any name: its domain, and on loopback its address too."""
        domain = self.domain.lower()
        return f"{domain} {self.base_url}" if urlsplit(self.base_url).hostname in LOOPBACK else domain

    @property
    def api_variables(self) -> list[str]:
        """The variable that holds the credentials for Shopify's API: of a token, else of the app's secret."""
        return [variable for variable in (self.token_env, self.client_secret_env) if variable][:1]

    @property
    def base_url(self) -> str:
        """The address of the shop, without a slash at its end."""
        return (self.endpoint or f"https://{self.domain}").rstrip("/")


class Environment(EnvSettingsSource):
    """INVSYNC_ variables; an underscore in a shop's name stands for a hyphen."""

    def __call__(self) -> dict[str, Any]:
        """Return the values, nested as in `invsync.toml`."""
        values = super().__call__()
        if shops := values.get("shops"):
            values["shops"] = {name.replace("_", "-"): part for name, part in shops.items()}
        return values


class Settings(BaseSettings):
    """The whole configuration; a variable such as INVSYNC_SHOPS__ACME__API_VERSION overrides the file."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__", env_ignore_empty=True
    )

    state: StateSettings = StateSettings()
    reports: ReportSettings = ReportSettings()
    alerts: AlertSettings = AlertSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    shops: dict[str, ShopSettings] = {}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment override the file."""
        return Environment(settings_cls), init_settings

    @field_validator("shops")
    @classmethod
    def _shop_names(cls, value: dict[str, ShopSettings]) -> dict[str, ShopSettings]:
        for name in value:
            if not SHOP_NAME.fullmatch(name):
                raise ValueError(f"shop name {name!r} must match {SHOP_NAME.pattern}")
        return value

    def alerts_of(self, name: str) -> AlertSettings:
        """Return where alerts of a shop go: as [alerts] says, but for the keys of [shops.<name>.alerts]."""
        own = self.shops[name].alerts.model_dump(exclude_unset=True) if name in self.shops else {}
        return self.alerts.model_copy(update=own)

    def shop(self, name: str) -> ShopSettings:
        """Return the shop of this name; raises UsageError for an unknown one."""
        if name not in self.shops:
            known = ", ".join(sorted(self.shops)) or "none"
            raise UsageError(f"Shop {name!r} is not in the configuration (known: {known}): correct --shop.")
        return self.shops[name]


def tables(path: Path) -> dict[str, Any]:
    """Parse a TOML file, with or without a byte order mark; raises UsageError where it cannot be read."""
    return _parsed(path, _content(path))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"Configuration {path} does not exist: name it with --config.") from None
    except OSError as error:
        raise UsageError(f"Configuration {path} cannot be read ({error.strerror}): correct --config.") from None


def _parsed(path: Path, content: bytes) -> dict[str, Any]:
    if (encoding := texts.encoding(content)) not in ("utf-8", "utf-8-sig"):
        raise UsageError(f"Configuration {path} is in {encoding.upper()}: save it as UTF-8.")
    try:
        return tomllib.loads(content.decode(encoding))
    except ValueError as error:
        raise UsageError(f"Configuration {path} is not TOML in UTF-8: {error}.") from None


def load(path: Path) -> Settings:
    """Return the configuration in a TOML file, overridden by INVSYNC_ variables; raises UsageError for a wrong value.

    Passwords in its addresses are remembered as secrets. A file that has not changed since it was loaded is not
    checked again: with 200 shops that would take 0.05 s.
    """
    overrides = tuple(sorted(item for item in os.environ.items() if item[0].upper().startswith(PREFIX)))
    configured = _loaded(path, _content(path), overrides)
    for _, text in texts_of(configured):
        scrub.remember_address(text)
    return configured


@lru_cache(maxsize=2)
def _loaded(path: Path, content: bytes, _overrides: tuple[tuple[str, str], ...]) -> Settings:
    """The configuration with this content, under these variables, which pydantic reads from the environment."""
    try:
        return Settings(**_parsed(path, content))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UsageError(f"Configuration {path} or an INVSYNC_ variable is wrong: {faults}.") from None
    except SettingsError as error:
        raise UsageError(f"An INVSYNC_ variable is wrong ({error}): name one key, as INVSYNC_STATE__URL.") from None


def anchored(configured: Settings, folder: Path) -> Settings:
    """Return the configuration with its relative paths and SQLite files taken from a folder, not the current one."""
    shops = {
        name: shop.model_copy(
            update={
                "oms": shop.oms.model_copy(update=_located(shop.oms, folder)),
                "buffer": shop.buffer.model_copy(update=_located(shop.buffer, folder)),
            }
        )
        for name, shop in configured.shops.items()
    }
    state = configured.state.model_copy(update=_located(configured.state, folder))
    reports = configured.reports.model_copy(update=_located(configured.reports, folder))
    return configured.model_copy(update={"shops": shops, "state": state, "reports": reports})


def _located(part: Part, folder: Path) -> dict[str, str]:
    """The paths of a part of the configuration, from this folder: `path`, `table`, and `url` where it is SQLite's."""
    values = {name: getattr(part, name, None) for name in ("path", "table", "url")}
    return {name: _from(value, folder) for name, value in values.items() if isinstance(value, str)}


def _from(value: str, folder: Path) -> str:
    if value.startswith(SQLITE):
        file = value.removeprefix(SQLITE)
        return value if file in ("", ":memory:") or file.startswith("file:") else f"{SQLITE}{folder / file}"
    return value if "://" in value else str(folder / value)
