"""The settings of what runs report: alerts to people, and telemetry to other systems."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from invsync.config.fields import AlertKind, Collector, Hours, Part, Variable


class AlertSettings(Part):
    """Where alerts go, and when.

    `url_env` names a secret of one or more addresses, separated by blanks: a web address receives a line of JSON, any
    other is Apprise's and receives a message. `command` reads the line of JSON from its standard input. In
    `quiet_hours`, in the shop's time zone, only `urgent` alerts are sent. Others wait until these hours end, and
    `group_minutes` for alerts that are sent with them.
    """

    model_config = ConfigDict(str_strip_whitespace=False)

    url_env: Variable | None = None
    command: tuple[str, ...] = ()
    quiet_hours: Hours | None = None
    urgent: tuple[AlertKind, ...] = ()
    group_minutes: Annotated[int, Field(ge=0, le=60)] = 0


class TelemetrySettings(Part):
    """What runs report to other systems; everything is off by default.

    `metrics`: runs keep what they measured in their folders, for `invsync metrics serve`. `otlp_endpoint` receives the
    trace and the metrics of each run by OTLP over HTTP, with the headers of a secret. `logs`: lines of JSON on
    standard error.
    """

    metrics: bool = False
    otlp_endpoint: Collector | None = None
    otlp_headers_env: Variable | None = None
    logs: Literal["text", "json"] = "text"

    @property
    def measures(self) -> bool:
        """Whether runs measure themselves."""
        return self.metrics or self.otlp_endpoint is not None or self.logs == "json"
