"""Configuration as a frozen value: `invsync.toml` under INVSYNC_ variables, secrets only by a variable's name."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from invsync.config.secrets import secret as secret
from invsync.config.secrets import token as token
from invsync.errors import UsageError
from invsync.inputs import texts

SHOP_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
LOCATION_ID = re.compile(r"[1-9][0-9]{0,18}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
TOKEN = re.compile(r"shp[a-z]{2}_")
HOST = re.compile(r"[\w.:%-]+")
DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?")
SQLITE = "sqlite:///"
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"time zone {name!r} is unknown; write one as Europe/Paris") from None
    return name


def _variable_name(name: str) -> str:
    if not VARIABLE.fullmatch(name) or TOKEN.match(name):
        raise ValueError("this is not the name of a variable; write the name alone, as ACME_TOKEN, never the secret")
    return name


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    if not text:
        return text
    if parts.scheme not in ("http", "https") or not HOST.fullmatch(parts.hostname or "") or parts.port == 0:
        raise ValueError("this is not a web address; write one as https://shop.example.com")
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise ValueError("plain http is refused off loopback; use https")
    return text


def _bare_domain(text: str) -> str:
    if not DOMAIN.fullmatch(text):
        raise ValueError(f"{text!r} is not a domain; write it alone, as acme.myshopify.com")
    return text


def _five_fields(text: str) -> str:
    if len(text.split()) != 5:
        raise ValueError(f"{text!r} is not a cron text of five fields; write one as */15 * * * *")
    return text


def _days(least: int) -> AfterValidator:
    """Days to keep something: 0 for ever, else no fewer than are needed."""

    def long_enough(days: int) -> int:
        if days and days < least:
            raise ValueError(f"{days} days are too few; write {least} or more, or 0 to keep for ever")
        return days

    return AfterValidator(long_enough)


Share = Annotated[float, Field(ge=0, le=1)]
Variable = Annotated[str, AfterValidator(_variable_name)]
Address = Annotated[str, AfterValidator(_web_address)]
Domain = Annotated[str, AfterValidator(_bare_domain)]
Zone = Annotated[str, AfterValidator(_known_zone)]
Cron = Annotated[str, AfterValidator(_five_fields)]
Locale = Annotated[str, Field(pattern=r"^[a-z]{2,3}([_-][A-Z][a-z]{3})?([_-]([A-Z]{2}|[0-9]{3}))?$")]


class Part(BaseModel):
    """A part of the configuration: frozen, and an unknown key is refused by name."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class StateSettings(Part):
    """Where runs, the outbox and watermarks are kept (any SQLAlchemy URL), and for how many days; 0 is for ever."""

    url: str = Field(default="sqlite:///invsync.db", repr=False)
    keep_claims_days: Annotated[int, Field(ge=0), _days(60)] = 400
    keep_runs_days: Annotated[int, Field(ge=0), _days(30)] = 400
    keep_webhooks_days: Annotated[int, Field(ge=0), _days(3)] = 7


class ReportSettings(Part):
    """Where run folders go and for how many days they stay (0: for ever), and an object storage that each is copied to."""

    path: str = "reports"
    keep_days: Annotated[int, Field(ge=0), _days(30)] = 0
    copy_to: str | None = None


class OmsSettings(Part):
    """How HotWax is read, and which shop, store and facility group are meant.

    database: url or url_env. files: path. rest: url (Moqui) and ofbiz_url, with token_env or username and password_env.
    """

    kind: Literal["database", "rest", "files"] = "database"
    url: str | None = Field(default=None, repr=False)
    url_env: Variable | None = None
    path: str | None = None
    ofbiz_url: Address | None = None
    token_env: Variable | None = None
    username: str | None = None
    password_env: Variable | None = None
    page_size: Annotated[int, Field(ge=1)] = 500
    at_once: Annotated[int, Field(ge=1, le=16)] = 4
    shop_id: str
    product_store_id: str | None = None
    facility_group_id: str | None = None
    timezone: Zone = "UTC"

    @model_validator(mode="after")
    def _rest_is_whole(self) -> "OmsSettings":
        if self.kind != "rest":
            return self
        if not self.url or not (self.token_env or (self.username and self.password_env)):
            raise ValueError("kind rest needs url, and token_env or username and password_env")
        _web_address(self.url)
        return self


class Guards(Part):
    """Limits beyond which a run stops before anything is sent."""

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


class AlertSettings(Part):
    """Where what a person must see is told: a JSON line to a URL, or to a command's standard input."""

    model_config = ConfigDict(str_strip_whitespace=False)

    url_env: Variable | None = None
    command: tuple[str, ...] = ()


class Schedule(Part):
    """The jobs by cron, in UTC."""

    upload_recent_changes: Cron = "*/15 * * * *"
    hard_sync: Cron = "0 3 * * *"
    push_deltas: Cron = "*/5 * * * *"


class ShopSettings(Part):
    """One shop on Shopify and the OMS that feeds it."""

    domain: Domain
    api_version: Annotated[str, Field(pattern=r"^20\d\d-(01|04|07|10)$")] = "2026-10"
    endpoint: Address | None = None
    token_env: Variable | None = None
    client_id: str | None = None
    client_secret_env: Variable | None = None
    webhook_secret_env: Variable | None = None
    webhook_url: Address | None = None
    timezone: Zone = "UTC"
    locale: Locale = "en"
    keep_by: Literal["resets", "deltas"] = "resets"
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
    bulk_stall: Annotated[int, Field(ge=1, description="minutes")] = 10
    oms: OmsSettings
    guards: Guards = Guards()
    buffer: Buffer = Buffer()
    schedule: Schedule = Schedule()

    @field_validator("aggregate_location", mode="before")
    @classmethod
    def _digits(cls, value: object) -> object:
        if value is not None and not LOCATION_ID.fullmatch(str(value)):
            raise ValueError(f"{value!r} is not a location's digits; write the number at the end of its address")
        return value

    @model_validator(mode="after")
    def _one_way_in(self) -> "ShopSettings":
        if not self.token_env and not (self.client_id and self.client_secret_env):
            raise ValueError("name token_env, or client_id and client_secret_env")
        return self

    @property
    def identity(self) -> str:
        """Which shop this is, whatever it is called here: its domain; on loopback its address too, as of a rehearsal."""
        domain = self.domain.lower()
        return f"{domain} {self.base_url}" if urlsplit(self.base_url).hostname in LOOPBACK else domain

    @property
    def base_url(self) -> str:
        """The address that stands before /admin/…"""
        return (self.endpoint or f"https://{self.domain}").rstrip("/")


class Environment(EnvSettingsSource):
    """INVSYNC_ variables, where an underscore in a shop's name stands for its hyphen."""

    def __call__(self) -> dict[str, Any]:
        """The values found, as `invsync.toml` would nest them."""
        found = super().__call__()
        if shops := found.get("shops"):
            found["shops"] = {name.replace("_", "-"): part for name, part in shops.items()}
        return found


class Settings(BaseSettings):
    """The whole configuration; a variable as INVSYNC_SHOPS__ACME__API_VERSION stands above the file."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="INVSYNC_", env_nested_delimiter="__", env_ignore_empty=True
    )

    state: StateSettings = StateSettings()
    reports: ReportSettings = ReportSettings()
    alerts: AlertSettings = AlertSettings()
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
        """The environment first, then what the file gave."""
        return Environment(settings_cls), init_settings

    @field_validator("shops")
    @classmethod
    def _shop_names(cls, value: dict[str, ShopSettings]) -> dict[str, ShopSettings]:
        for name in value:
            if not SHOP_NAME.fullmatch(name):
                raise ValueError(f"shop name {name!r} must match {SHOP_NAME.pattern}")
        return value

    def shop(self, name: str) -> ShopSettings:
        """The shop of this name; an unknown one is a usage error."""
        if name not in self.shops:
            known = ", ".join(sorted(self.shops)) or "none"
            raise UsageError(f"Shop {name!r} is not in the configuration (known: {known}): correct --shop.")
        return self.shops[name]


def tables(path: Path) -> dict[str, Any]:
    """The tables of a TOML file, with a byte order mark or without; another encoding is named."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"Configuration {path} does not exist: name it with --config.") from None
    except OSError as error:
        raise UsageError(f"Configuration {path} cannot be read ({error.strerror}): correct --config.") from None
    if (encoding := texts.encoding(content)) not in ("utf-8", "utf-8-sig"):
        raise UsageError(f"Configuration {path} is in {encoding.upper()}: save it as UTF-8.")
    try:
        return tomllib.loads(content.decode(encoding))
    except ValueError as error:
        raise UsageError(f"Configuration {path} is not TOML in UTF-8: {error}.") from None


def load(path: Path) -> Settings:
    """The configuration in this TOML file, under the INVSYNC_ variables of the environment."""
    try:
        return Settings(**tables(path))
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
        return value if file in ("", ":memory:") else f"{SQLITE}{folder / file}"
    return value if "://" in value else str(folder / value)
