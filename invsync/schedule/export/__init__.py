"""The schedule written for another engine: each writer gives files by name, from the same table."""

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from invsync.config import settings
from invsync.schedule.export import airflow, crontab, kubernetes, systemd
from invsync.schedule.export.plan import Plan, services
from invsync.schedule.table import entries

WRITERS: Mapping[str, Callable[[Plan], dict[str, str]]] = {
    "crontab": crontab.write,
    "systemd": systemd.write,
    "airflow": airflow.write,
    "kubernetes": kubernetes.write,
}


def export(to: str, config: Path, shops: Sequence[str], *, image: str) -> dict[str, str]:
    """The files for one engine, by name; a wrong cron text is a usage error."""
    configured = settings.load(config)
    table = entries(configured, shops)
    program = shutil.which("invsync") or str(Path(sys.executable).with_name("invsync"))
    kept = list(dict.fromkeys(entry.shop for entry in table))
    return WRITERS[to](
        Plan(
            table=table,
            services=services(configured, kept),
            program=program,
            config=config.resolve(),
            folder=Path.cwd(),
            image=image,
            variables=_variables(configured, kept),
        )
    )


def _variables(configured: settings.Settings, shops: Sequence[str]) -> list[str]:
    """The names of the secrets that these shops need from the environment."""
    variables = [configured.alerts.url_env]
    for name in shops:
        shop = configured.shop(name)
        variables += [shop.token_env, shop.client_secret_env, shop.webhook_secret_env, shop.oms.url_env]
        variables += [shop.oms.token_env, shop.oms.password_env]
    return sorted({variable for variable in variables if variable})
