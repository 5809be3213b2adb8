"""Mutation testing of the core: mutmut, with mutations that fit expressions of polars.

`make mutants` changes one thing at a time in the modules that [tool.mutmut] names and runs their tests; a mutant that
no test notices survives. Names of columns, arguments and assignments are left alone, since their mutants cannot run.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import libcst as cst
from hypothesis import Phase, settings
from mutmut.__main__ import cli
from mutmut.mutation import mutators
from mutmut.stats import status_by_exit_code

DROPPED = {
    "abs",
    "cast",
    "ceil",
    "drop_nulls",
    "fill_null",
    "filter",
    "floor",
    "implode",
    "join",
    "otherwise",
    "over",
    "rename",
    "round",
    "sort",
    "strip_prefix",
    "unique",
    "with_columns",
    "zfill",
}
UNWRAPPED = {"checked", "conform"}  # a table that is not checked
SHORTENED = {
    "coalesce",
    "drop_nulls",
    "filter",
    "max_horizontal",
    "min_horizontal",
    "over",
    "sort",
    "sum_horizontal",
    "unique",
}
DEFAULTED = {"default", "descending", "how", "keep", "maintain_order", "nulls_last", "strict"}
PAIRS = [
    ("any_horizontal", "all_horizontal"),
    ("ceil", "floor"),
    ("is_not_null", "is_null"),
    ("max", "min"),
    ("max_horizontal", "min_horizontal"),
    ('"anti"', '"semi"'),
    ('"first"', '"last"'),
]
SWAPPED = dict(PAIRS) | {second: first for first, second in PAIRS}
UNFIT = {"string", "assignment", "augmented_assignment", "arg_removal", "dict_arguments", "lambda"}
Nodes = Iterator[cst.CSTNode]


def called(node: cst.CSTNode) -> str:
    """The name of the method or function that is called; empty where it is no call by name."""
    if not isinstance(node, cst.Call):
        return ""
    func = node.func
    return func.attr.value if isinstance(func, cst.Attribute) else func.value if isinstance(func, cst.Name) else ""


def instead(node: cst.BaseExpression, part: cst.BaseExpression) -> cst.BaseExpression:
    """A part of an expression in its place, in the parentheses of both."""
    return part.with_changes(lpar=[*node.lpar, *part.lpar], rpar=[*part.rpar, *node.rpar])


def without_call(node: cst.Call) -> Nodes:
    """`x.fill_null(0)` as `x`; `checked(x, schema)` as `x`; the last branch of a longer `when` left out."""
    if called(node) in DROPPED and isinstance(node.func, cst.Attribute):
        yield instead(node, node.func.value)
    if called(node) in UNWRAPPED:
        yield instead(node, node.args[0].value)
    if called(node) == "then" and called(node.func.value) == "when" and called(node.func.value.func.value) == "then":
        yield instead(node, node.func.value.func.value)


def without_argument(node: cst.Call) -> Nodes:
    """`sort("a", "b")` as `sort("b")`; `join(..., how="left")` with the default."""
    for number, argument in enumerate(node.args):
        optional = argument.keyword.value in DEFAULTED if argument.keyword else called(node) in SHORTENED
        if optional and len(node.args) > 1:
            yield node.with_changes(args=[*node.args[:number], *node.args[number + 1 :]])


def without_operand(node: cst.BinaryOperation | cst.BooleanOperation) -> Nodes:
    """`a & b` as `a` and as `b`."""
    if isinstance(node.operator, cst.BitAnd | cst.BitOr | cst.And | cst.Or):
        yield from (instead(node, side) for side in (node.left, node.right))


def swapped(node: cst.Name | cst.SimpleString) -> Nodes:
    """`max` for `min`, an anti join for a semi join."""
    if node.value in SWAPPED:
        yield node.with_changes(value=SWAPPED[node.value])


def other_text(node: cst.Call) -> Nodes:
    """`pl.lit("landed")` as another text."""
    if called(node) == "lit" and isinstance(node.args[0].value, cst.SimpleString):
        yield node.with_changes(args=[cst.Arg(cst.SimpleString('"other"')), *node.args[1:]])


def one_branch(node: cst.If) -> Nodes:
    """An `if` that is always taken, and one that never is."""
    yield from (node.with_changes(test=cst.Name(name)) for name in ("True", "False"))


def operators() -> Iterator[tuple[type, Callable[..., object]]]:
    """The operators of mutmut that fit, and those of this file."""
    unfit = {f"operator_{name}" for name in UNFIT}
    yield from (pair for pair in mutators.mutation_operators if pair[1].__name__ not in unfit)
    yield from ((cst.Call, operator) for operator in (without_call, without_argument, other_text))
    yield from ((node, without_operand) for node in (cst.BinaryOperation, cst.BooleanOperation))
    yield from ((node, swapped) for node in (cst.Name, cst.SimpleString))
    yield (cst.If, one_branch)


def scores() -> Iterator[str]:
    """A line a module: its mutants, and how many of them ended in which way."""
    for path in sorted(Path("mutants").rglob("*.py.meta")):
        ends = json.loads(path.read_text())["exit_code_by_key"].values()
        if ends:
            count = Counter(status_by_exit_code[end] for end in ends)
            yield f"{path.name.removesuffix('.py.meta'):12} {len(ends):4} mutants  {dict(count)}"


mutators.mutation_operators[:] = [*operators()]
settings.register_profile("mutants", deadline=None, database=None, phases=[Phase.explicit, Phase.generate])

if __name__ == "__main__":
    cli(standalone_mode=False)
    print(*scores(), sep="\n")
