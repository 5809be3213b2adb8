"""The channels that carry alerts: a command, and each address in `url_env` by its scheme.

To add a channel, write a module here with `send(notices, address)`, and register the scheme of its addresses in
`SCHEMES`; an address of any other scheme is Apprise's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from invsync.alerts.alert import Notice
from invsync.alerts.channels import apprise, command, http
from invsync.config.secrets import secret
from invsync.config.settings import AlertSettings

Channel = Callable[[Sequence[Notice], str], None]
SCHEMES: Mapping[str, Channel] = {
    "http": http.send,
    "https": http.send,
}


def send(notices: Sequence[Notice], to: AlertSettings, environ: Mapping[str, str]) -> None:
    """Send the notices to the command and to every address that are configured.

    Each way is tried; then the first error is raised: UsageError where the secret of the addresses is not set, and
    whatever error a channel has.
    """
    errors = []
    for way in _ways(notices, to, environ):
        try:
            way()
        except Exception as error:  # of any library that a channel uses
            errors.append(error)
    if errors:
        raise errors[0]


def _ways(notices: Sequence[Notice], to: AlertSettings, environ: Mapping[str, str]) -> Iterator[Callable[[], None]]:
    if to.command:
        yield partial(command.send, notices, to.command)
    for address in (secret(to.url_env, environ) or "").split():
        scheme = address.partition("://")[0].lower()
        yield partial(SCHEMES.get(scheme, apprise.send), notices, address)
