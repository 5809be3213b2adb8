"""MariaDB and PostgreSQL on loopback, in a folder of their own, as a user without rights."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

PACKAGES = {"mariadbd": "mariadb-server", "postgres": "postgresql"}
USER = "nobody"


def program(name: str) -> str:
    """The path of a server's program, installed where that may be done; the test is skipped by name otherwise."""
    if shutil.which(name, path=_path()) is None and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(["apt-get", "update"], check=False, **quiet)  # type: ignore[call-overload]
        install = ["apt-get", "install", "-y", "--no-install-recommends", PACKAGES[name]]
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(install, check=False, env=environment, **quiet)  # type: ignore[call-overload]
    path = shutil.which(name, path=_path())
    if path is None:
        pytest.skip(f"{name} is not installed and cannot be: install {PACKAGES[name]}")
    return path


def _path() -> str:
    places = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    return os.pathsep.join([os.environ["PATH"], "/usr/sbin", *places])


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _as_user() -> dict[str, str]:
    return {"user": USER, "group": "nogroup"} if os.geteuid() == 0 else {}


@contextmanager
def _home() -> Iterator[Path]:
    """A new folder that the server's user owns and can reach."""
    with tempfile.TemporaryDirectory(prefix="invsync-server-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, USER, "nogroup")
        folder.chmod(0o755)
        yield folder


@contextmanager
def _running(command: list[str], folder: Path, url: str) -> Iterator[str]:
    """The server while it is needed; it ends before the folder goes."""
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **_as_user())  # type: ignore[call-overload]
        try:
            _wait(url, server, folder / "log")
            yield url
        finally:
            server.send_signal(
                signal.SIGINT if "postgres" in command[0] else signal.SIGTERM
            )  # PostgreSQL: without waiting
            server.wait(60)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    engine = sa.create_engine(url)
    for _ in range(300):
        try:
            with engine.connect():
                break
        except sa.exc.OperationalError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)
    else:
        pytest.fail(f"The server did not answer within 30 s: {log.read_text()}")
    engine.dispose()


@contextmanager
def mariadb() -> Iterator[str]:
    """MariaDB, standing for MySQL; its URL names database `oms`."""
    server, port = program("mariadbd"), _port()
    with _home() as home, _running(*_prepared_mariadb(server, home, port)) as url:
        yield url


def _prepared_mariadb(server: str, home: Path, port: int) -> tuple[list[str], Path, str]:
    install = shutil.which("mariadb-install-db", path=_path()) or "mariadb-install-db"
    data = f"--datadir={home / 'data'}"
    prepare = [install, "--no-defaults", data, "--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run(prepare, check=True, stdout=subprocess.DEVNULL, cwd=home, **_as_user())  # type: ignore[call-overload]
    (home / "start.sql").write_text(
        "CREATE DATABASE oms CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;\n"
        "CREATE USER 'oms'@'%' IDENTIFIED BY 'oms';\n"
        "GRANT ALL ON *.* TO 'oms'@'%' WITH GRANT OPTION;\n"
    )
    command = [
        server,
        "--no-defaults",
        data,
        f"--port={port}",
        "--bind-address=127.0.0.1",
        "--skip-name-resolve",
        f"--socket={home / 'socket'}",
        f"--init-file={home / 'start.sql'}",
        "--innodb-buffer-pool-size=1G",
        "--innodb-log-file-size=512M",
        "--innodb-flush-log-at-trx-commit=2",
    ]
    return command, home, f"mysql+pymysql://oms:oms@127.0.0.1:{port}/oms"


@contextmanager
def postgresql() -> Iterator[str]:
    """PostgreSQL; its URL names database `postgres`."""
    server, port = program("postgres"), _port()
    with _home() as home, _running(*_prepared_postgresql(server, home, port)) as url:
        yield url


@contextmanager
def restarting_postgresql() -> Iterator[tuple[str, Callable[[], None]]]:
    """PostgreSQL, and a function that restarts it as an upgrade does: every connection is cut."""
    server, port = program("postgres"), _port()
    with _home() as home, ExitStack() as running:
        prepared = _prepared_postgresql(server, home, port)
        running.enter_context(_running(*prepared))

        def restart() -> None:
            running.close()
            running.enter_context(_running(*prepared))

        yield prepared[2], restart


def _prepared_postgresql(server: str, home: Path, port: int) -> tuple[list[str], Path, str]:
    initdb = [
        str(Path(server).resolve().with_name("initdb")),
        "-D",
        str(home / "data"),
        "-U",
        "oms",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--no-sync",
    ]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=home, **_as_user())  # type: ignore[call-overload]
    command = [
        server,
        "-D",
        str(home / "data"),
        "-p",
        str(port),
        "-c",
        "listen_addresses=127.0.0.1",
        "-k",
        str(home),
        "-c",
        "fsync=off",
        "-c",
        "shared_buffers=1GB",
        "-c",
        "max_wal_size=4GB",
    ]
    return command, home, f"postgresql+psycopg://oms@127.0.0.1:{port}/postgres"
