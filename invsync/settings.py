"""Configuration as a frozen value: `invsync.toml`, checked strictly, secrets only by the name of a variable."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from invsync.errors import UsageError

SHOP_NAME = re.compile(r"^[a-z0-9][a-z0-9-]*$")
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
Share = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    """A part of the configuration: frozen, and an unknown key is refused by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StateSettings(Part):
    """Where runs, the outbox and watermarks are kept (any SQLAlchemy URL)."""

    url: str = "sqlite:///invsync.db"


class ReportSettings(Part):
    """Where run folders go."""

    path: str = "reports"


class OmsSettings(Part):
    """How HotWax is read, and which shop, store and facility group are meant."""

    kind: Literal["database", "files"] = "database"
    url: str | None = None
    url_env: str | None = None
    path: str | None = None
    shop_id: str
    product_store_id: str | None = None
    facility_group_id: str | None = None
    timezone: str = "UTC"


class Guards(Part):
    """Limits beyond which a run stops before anything is sent."""

    max_zeroed_share: Share = 0.05
    max_changed_share: Share = 0.5
    max_units: int = 100_000
    min_rows_share: Share = 0.8
    min_pairs: int = 20


class Buffer(Part):
    """Units hidden from Shopify, subtracted only down to 0: one number, or a Parquet/CSV table by sku and location."""

    units: Annotated[int, Field(ge=0)] = 0
    table: str | None = None


class Schedule(Part):
    """The jobs by cron, in UTC."""

    upload_recent_changes: str = "*/15 * * * *"
    hard_sync: str = "0 3 * * *"
    push_deltas: str = "*/5 * * * *"


class ShopSettings(Part):
    """One shop on Shopify and the OMS that feeds it."""

    domain: str
    api_version: Annotated[str, Field(pattern=r"^20\d\d-(01|04|07|10)$")] = "2026-10"
    endpoint: str | None = None
    token_env: str | None = None
    client_id: str | None = None
    client_secret_env: str | None = None
    webhook_secret_env: str | None = None
    timezone: str = "UTC"
    locale: str = "en"
    keep_by: Literal["resets", "deltas"] = "resets"
    aggregate_location: int | None = None
    activate_levels: bool = False
    orders_lookback_days: Annotated[int, Field(ge=1, le=60)] = 14
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

    @field_validator("endpoint")
    @classmethod
    def _loopback_or_https(cls, value: str | None) -> str | None:
        if value and urlsplit(value).scheme != "https" and urlsplit(value).hostname not in LOOPBACK:
            raise ValueError("plain http is refused off loopback; use https")
        return value

    @model_validator(mode="after")
    def _one_way_in(self) -> "ShopSettings":
        if not self.token_env and not (self.client_id and self.client_secret_env):
            raise ValueError("name token_env, or client_id and client_secret_env")
        return self

    @property
    def base_url(self) -> str:
        """The address that stands before /admin/…"""
        return (self.endpoint or f"https://{self.domain}").rstrip("/")


class Settings(Part):
    """The whole configuration."""

    state: StateSettings = StateSettings()
    reports: ReportSettings = ReportSettings()
    shops: dict[str, ShopSettings] = {}

    @field_validator("shops")
    @classmethod
    def _shop_names(cls, value: dict[str, ShopSettings]) -> dict[str, ShopSettings]:
        for name in value:
            if not SHOP_NAME.match(name):
                raise ValueError(f"shop name {name!r} must match {SHOP_NAME.pattern}")
        return value

    def shop(self, name: str) -> ShopSettings:
        """The shop of this name; an unknown one is a usage error."""
        if name not in self.shops:
            known = ", ".join(sorted(self.shops)) or "none"
            raise UsageError(f"Shop {name!r} is not in the configuration (known: {known}): correct --shop.")
        return self.shops[name]


def load(path: Path) -> Settings:
    """The configuration in this TOML file."""
    try:
        return Settings.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UsageError(f"Configuration {path} does not exist: name it with --config.") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"Configuration {path} is not TOML: {error}.") from None
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UsageError(f"Configuration {path} is wrong: {faults}.") from None


def secret(variable: str | None, environ: Mapping[str, str]) -> str | None:
    """The secret that this environment variable holds; an unset one is a usage error."""
    if variable is None:
        return None
    if not environ.get(variable):
        raise UsageError(f"Environment variable {variable} is not set: export the secret it should hold.")
    return environ[variable]
