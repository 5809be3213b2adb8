"""What every engine is told: commands by cron, and commands that run all the time."""

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from invsync.config.settings import Settings
from invsync.schedule.table import Entry, hears

CHORES = [  # of all shops: name, what it is about, cron, arguments
    ("invsync-check", "whether every job runs", "*/10 * * * *", ("schedule", "check")),
    ("invsync-prune", "what is no longer kept", "40 4 * * *", ("state", "prune")),
]
FIRST_PORT = 8765
MARK = 8  # characters of the hash that keeps two cut names apart


@dataclass(frozen=True)
class Service:
    """A command that runs all the time, and the port that it listens on."""

    name: str
    shop: str
    arguments: tuple[str, ...]
    port: int | None = None


@dataclass(frozen=True)
class Plan:
    """The table, the services beside it, and where things are."""

    table: list[Entry]
    services: list[Service]
    program: str
    config: Path
    folder: Path
    image: str
    variables: list[str]

    def command(self, *arguments: str, program: str | None = None, config: str | None = None) -> list[str]:
        """A command line of invsync with its configuration."""
        return [program or self.program, *arguments, "--config", config or str(self.config)]

    def line(self, *arguments: str) -> str:
        """The same as text for a shell."""
        return shlex.join(self.command(*arguments))


def named(shop: str, what: str, *, most: int) -> str:
    """The name of what runs for a shop; one beyond `most` characters is cut, and ends with a hash of its own."""
    name = f"invsync-{shop}-{what}"
    mark = hashlib.sha256(name.encode()).hexdigest()[:MARK]
    return name if len(name) <= most else f"{name[: most - MARK - 1].rstrip('-')}-{mark}"


def services(configured: Settings, shops: Sequence[str]) -> list[Service]:
    """The receiver and the drain of each shop that hears webhooks."""
    listed = []
    for number, shop in enumerate(name for name in shops if hears(configured, name)):
        port = FIRST_PORT + number
        listed.append(Service("webhooks", shop, ("webhooks", "serve", "--shop", shop, "--port", str(port)), port))
        listed.append(Service("realtime", shop, ("schedule", "run", "--only-realtime", "--shop", shop)))
    return listed


def run(entry: Entry) -> tuple[str, ...]:
    """The arguments that run an entry's job once."""
    return "run", entry.job, "--shop", entry.shop
