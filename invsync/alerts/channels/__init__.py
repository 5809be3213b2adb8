"""The channels that carry alerts: a command, and the address in `url_env` by its scheme.

To add a channel, write a module here with `send(line, address)`, and register the scheme of its addresses in
`SCHEMES`.
"""

from collections.abc import Callable, Mapping

from invsync.alerts.channels import command, http
from invsync.config.secrets import secret
from invsync.config.settings import AlertSettings

SCHEMES: Mapping[str, Callable[[str, str], None]] = {
    "http": http.send,
    "https": http.send,
}


def send(line: str, to: AlertSettings, environ: Mapping[str, str]) -> None:
    """Send a line of JSON to the command and to the address that are configured.

    Raises UsageError where the secret of the address is not set, and whatever error a channel has.
    """
    if to.command:
        command.send(line, to.command)
    if address := secret(to.url_env, environ):
        scheme = address.partition("://")[0].lower()
        SCHEMES.get(scheme, http.send)(line, address)
