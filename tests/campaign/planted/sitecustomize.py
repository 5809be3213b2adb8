"""Loaded by every Python process of the campaign of planted secrets: waits little, and raises where it is asked to.

RAISE_IN names a function, as `package.module:Class.function`; it then raises an error that repeats every secret which
the process has read, with another such error as its cause.
"""

import importlib.abc
import importlib.util
import os
import sys
import time
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MODULE, _, NAME = os.environ.get("RAISE_IN", "").partition(":")
_sleep = time.sleep
time.sleep = lambda seconds: _sleep(min(float(seconds), 0.02))


def raising(*_: object, **__: object) -> Any:
    """Raise an unexpected error that repeats what the process has read."""
    from invsync import scrub

    text = " and ".join(scrub.remembered())
    try:
        raise KeyError(f"a cause with {text}")
    except KeyError as cause:
        print(f"printed {text}", file=sys.stderr)
        raise RuntimeError(f"planted {text}") from cause


class Raising(importlib.abc.MetaPathFinder):
    """Replaces the function when its module is imported."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the module's own spec, whose loader replaces the function."""
        if name != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.loader is not None
        execute = spec.loader.exec_module

        def replaced(module: ModuleType) -> None:
            execute(module)
            owner: Any = module
            *owners, function = NAME.split(".")
            for one in owners:
                owner = getattr(owner, one)
            setattr(owner, function, raising)

        setattr(spec.loader, "exec_module", replaced)  # noqa: B010
        return spec


if MODULE:
    sys.meta_path.insert(0, Raising())
