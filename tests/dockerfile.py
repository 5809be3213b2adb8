"""A Dockerfile as its instructions, read as far as ours goes."""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

DEPLOY = Path(__file__).parents[1] / "docs" / "deploy"


@dataclass(frozen=True)
class Instruction:
    """One instruction: its name, its flags such as `from` of COPY, and the rest of its line."""

    name: str
    flags: dict[str, str]
    value: str

    @property
    def is_exec(self) -> bool:
        """Whether it names a program and its arguments, so that no shell reads it."""
        return self.value.startswith("[")

    @property
    def words(self) -> list[str]:
        """The words of an exec form, or of a plain line."""
        return json.loads(self.value) if self.is_exec else shlex.split(self.value)

    @property
    def pairs(self) -> dict[str, str]:
        """The names and values of ENV, ARG and LABEL."""
        return dict(word.partition("=")[::2] for word in self.words)


def instructions(text: str) -> list[Instruction]:
    """Every instruction, in order."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [_instruction(line) for line in joined.splitlines()]


def _instruction(line: str) -> Instruction:
    name, _, rest = line.partition(" ")
    flags = {}
    while match := re.match(r"--([a-z-]+)=(\S+)\s+", rest):
        flags[match[1]] = match[2]
        rest = rest[match.end() :]
    return Instruction(name.upper(), flags, rest.strip())


def stages(text: str) -> list[list[Instruction]]:
    """The instructions of each stage, which begins with FROM."""
    parts: list[list[Instruction]] = []
    for one in instructions(text):
        if one.name == "FROM":
            parts.append([])
        parts[-1].append(one)
    return parts
