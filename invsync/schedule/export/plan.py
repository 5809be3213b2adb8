"""What an exporter writes: the commands that run by cron, and those that run all the time."""

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HASH_LENGTH = 8  # characters of the hash that keeps two shortened names apart


@dataclass(frozen=True)
class Task:
    """A command that runs by cron, for one shop or, where `shop` is None, for all."""

    name: str
    cron: str
    arguments: tuple[str, ...]
    about: str
    shop: str | None = None


@dataclass(frozen=True)
class Service:
    """A command that runs all the time for one shop, and the port that it listens on."""

    name: str
    shop: str
    arguments: tuple[str, ...]
    port: int | None = None

    @property
    def about(self) -> str:
        """The service in a few words."""
        return f"{self.name} of {self.shop}"


MAINTENANCE = (
    Task("check", "*/10 * * * *", ("schedule", "check"), "whether every job runs"),
    Task("prune", "40 4 * * *", ("state", "prune"), "what is no longer kept"),
)


@dataclass(frozen=True)
class Plan:
    """Every command of a configuration, and the paths and names that the commands need."""

    jobs: Sequence[Task]
    maintenance: Sequence[Task]
    services: Sequence[Service]
    program: str
    config: Path
    folder: Path
    notebooks: Path
    image: str
    variables: Sequence[str]

    @property
    def tasks(self) -> list[Task]:
        """Everything that runs by cron."""
        return [*self.jobs, *self.maintenance]

    def command(self, *arguments: str, program: str | None = None, config: str | None = None) -> list[str]:
        """The words of an invsync command, with its configuration."""
        return [program or self.program, *arguments, "--config", config or str(self.config)]

    def line(self, *arguments: str) -> str:
        """The same command as one line for a shell."""
        return shlex.join(self.command(*arguments))


def unit_name(what: Task | Service, *, limit: int) -> str:
    """The name under which an engine runs it; a name longer than `limit` is cut and ends with a hash of the whole."""
    name = "-".join(filter(None, ("invsync", what.shop, what.name)))
    digest = hashlib.sha256(name.encode()).hexdigest()[:HASH_LENGTH]
    return name if len(name) <= limit else f"{name[: limit - HASH_LENGTH - 1].rstrip('-')}-{digest}"
