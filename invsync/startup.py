"""Import libraries quickly, and leave the process as it was."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

GRAMMAR = "rfc3987_syntax"  # of jsonschema, where JupyterLab is installed: it builds a parser for seconds
HTTPX_COMMAND = "httpx._main"  # the command of httpx, which imports Click, Rich and Pygments


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import within this block without garbage collection, and without what its libraries need at their use only.

    At the end of the block the collection and `sys.modules` are as they were before it.
    """
    with _paused_collection(), deferred(GRAMMAR, HTTPX_COMMAND):
        yield


@contextmanager
def deferred(*names: str) -> Iterator[None]:
    """Give a library that imports one of these modules within this block a stand-in, which imports it when it is used.

    A name imported from the module in the block is a function that calls that of the module. After the block the
    modules can be imported as ever; those imported before it, or not installed, are left alone.
    """
    stand_ins = [_StandIn(name) for name in names if name not in sys.modules and find_spec(name.partition(".")[0])]
    sys.modules |= {each.__name__: each for each in stand_ins}
    try:
        yield
    finally:
        for each in stand_ins:
            each.leave()


class _StandIn(ModuleType):
    """A module that is imported with the first use of what it holds."""

    def leave(self) -> None:
        """Make room for the module itself."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]

    def __getattr__(self, name: str) -> Any:  # whatever the module holds
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            return lambda *given, **named: getattr(self._loaded(), name)(*given, **named)
        return getattr(self._loaded(), name)

    def _loaded(self) -> ModuleType:
        self.leave()
        return import_module(self.__name__)


@contextmanager
def _paused_collection() -> Iterator[None]:
    """Collect no garbage within the block; what it made then counts as old, as it would after collections."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            _age()
            gc.enable()


def _age() -> None:
    """Count every object as old, unless some are frozen: those would thaw."""
    if not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()
