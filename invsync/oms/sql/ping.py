"""Ask whether a database server answers, without logging in."""

import os
import socket
import struct

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from invsync.config.secrets import secret
from invsync.oms.sql.connector import DatabaseSettings

PORTS = {"mysql": 3306, "mariadb": 3306, "postgresql": 5432}
# A MySQL server speaks first; PostgreSQL answers a request for TLS with one byte.
GREETINGS = {"mysql": b"", "mariadb": b"", "postgresql": struct.pack("!ii", 8, 80_877_103)}


def answers(oms: DatabaseSettings, seconds: float) -> bool:
    """Return whether the server sends a byte; a file, a local socket and an address that cannot be read always do."""
    try:
        url = sa.make_url(oms.url or secret(oms.url_env, os.environ) or "")
    except ArgumentError:
        return True
    kind = url.get_backend_name()
    if kind not in PORTS or not url.host:
        return True
    try:
        with socket.create_connection((url.host, url.port or PORTS[kind]), timeout=seconds) as connection:
            connection.sendall(GREETINGS[kind])
            return bool(connection.recv(1))
    except OSError:
        return False
