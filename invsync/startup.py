"""Import libraries quickly, and leave the process as it was."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

GRAMMAR = "rfc3987_syntax"


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import within this block without garbage collection, and without the grammar of internationalized addresses.

    jsonschema imports `rfc3987_syntax` where it is installed, as it is with JupyterLab, and that builds a parser for
    seconds. Within the block a stand-in takes its place, which loads the real one when an address is first validated.
    At the end of the block both are as they were before: jsonschema validates all that it validates without us.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        with _deferred_grammar():
            yield
    finally:
        if collects:
            gc.enable()


@contextmanager
def _deferred_grammar() -> Iterator[None]:
    if {GRAMMAR, "jsonschema._format"} & sys.modules.keys() or find_spec(GRAMMAR) is None:
        yield
        return
    stand_in = ModuleType(GRAMMAR)
    stand_in.is_valid_syntax = _is_valid_syntax  # type: ignore[attr-defined]
    sys.modules[GRAMMAR] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(GRAMMAR) is stand_in:
            del sys.modules[GRAMMAR]


def _is_valid_syntax(term: str, value: str) -> Any:
    return import_module(GRAMMAR).is_valid_syntax(term, value)
