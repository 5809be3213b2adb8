"""The configuration of a notebook or a script: the file that it names, else the nearest one at hand."""

import os
from pathlib import Path

from invsync.config import settings
from invsync.config.secrets import variables
from invsync.errors import UsageError

CONFIG, DEMO = "invsync.toml", "demo"
VARIABLES = "invsync.env"  # of the sandbox, beside its configuration: lines of NAME=value


def nearest() -> Path | None:
    """The invsync.toml of this folder or of the nearest one above it, or of a demo in one of them; None where none is."""
    here = Path.cwd()
    places = [place for folder in (here, *here.parents) for place in (folder, folder / DEMO)]
    return next((place / CONFIG for place in places if (place / CONFIG).is_file()), None)


def located(config: str | Path | None = None) -> Path:
    """The file that is named, else the nearest one; a UsageError where there is none."""
    path = Path(config).resolve() if config else nearest()
    if path is None:
        raise UsageError(
            f"There is no {CONFIG} in {Path.cwd()} or above it: set config to the file, run invsync init for a shop "
            "of yours, or keep a demo alive with invsync demo --keep."
        )
    return path


def opened(config: str | Path | None = None) -> settings.Settings:
    """The configuration that is named, or the nearest one; its relative paths are taken from its folder.

    Of the variables beside it, only those are set that it names as secrets and that are not set yet.
    """
    path = located(config)
    configured = settings.load(path)
    secrets = set(variables(configured))
    for name, value in _variables(path.with_name(VARIABLES)).items():
        if name in secrets:
            os.environ.setdefault(name, value)
    return settings.anchored(configured, path.parent)


def shop_of(configured: settings.Settings, shop: str = "") -> str:
    """The shop of this name, or the only one where none is named; a UsageError where that is none."""
    known = ", ".join(sorted(configured.shops)) or "none"
    if not shop and len(configured.shops) != 1:
        raise UsageError(f"The configuration has the shops {known}: set shop to one of them.")
    if shop and shop not in configured.shops:
        raise UsageError(f"Shop {shop!r} is not in the configuration (known: {known}): correct shop.")
    return shop or next(iter(configured.shops))


def _variables(path: Path) -> dict[str, str]:
    """The variables that the sandbox wrote down for those who explore it."""
    if not path.is_file():
        return {}
    lines = [line.partition("=") for line in path.read_text(encoding="utf-8").splitlines()]
    return {name: value for name, equals, value in lines if equals}
