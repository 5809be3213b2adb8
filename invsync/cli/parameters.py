"""`-p KEY VALUE`: notebook parameters as they are typed for `invsync run`."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from typer.core import TyperCommand

from invsync.errors import UsageError

Value = str | bool
SEPARATOR = "\0"  # in no argument of a process


class PairsCommand(TyperCommand):
    """A command whose `-p` takes two words, as papermill's does."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # Typer's context class is private
        """Parse the arguments with the two words after each `-p` joined into one."""
        return super().parse_args(ctx, list(_joined(args)))


def _joined(args: list[str]) -> Iterator[str]:
    rest = iter(args)
    for word in rest:
        yield word
        if word == "-p" and (pair := list(islice(rest, 2))):
            yield SEPARATOR.join(pair)


def merge(options: Mapping[str, Value], pairs: Sequence[str], defaults: Mapping[str, Value]) -> dict[str, Value]:
    """The parameters given by options, where they differ from the defaults, and by `-p` pairs.

    Raises UsageError for a pair without a value, and for a parameter that is given two different values.
    """
    given = {name: value for name, value in options.items() if value != defaults.get(name)}
    for pair in pairs:
        name, separator, text = pair.partition(SEPARATOR)
        if not separator:
            raise UsageError(f"Parameter {name} has no value: write -p {name} VALUE.")
        value = {"true": True, "false": False}.get(text.lower(), text)
        if given.setdefault(name, value) != value:
            raise UsageError(f"Parameter {name} is given as {given[name]!r} and as {value!r}: give it once.")
    return given
