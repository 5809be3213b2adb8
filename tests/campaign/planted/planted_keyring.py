"""A keyring that holds one secret, given by PLANTED_KEYRING as NAME=value."""

import os

from keyring.backend import KeyringBackend


class Keyring(KeyringBackend):
    """What `keyring` uses where PYTHON_KEYRING_BACKEND names it."""

    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        """Return the secret, if it is the one."""
        name, _, value = os.environ.get("PLANTED_KEYRING", "").partition("=")
        return value if (service, username) == ("invsync", name) else None

    def set_password(self, service: str, username: str, password: str) -> None:
        """Refuse: it is only read."""
        raise NotImplementedError

    def delete_password(self, service: str, username: str) -> None:
        """Refuse: it is only read."""
        raise NotImplementedError
