"""Every surface reads one vocabulary, and the vocabulary is whole."""

import ast
from pathlib import Path

import polars as pl
import pytest

from invsync import errors, plan, vocabulary
from invsync.config import settings
from invsync.mapping import items
from invsync.runs import record
from invsync.vocabulary import (
    BENIGN,
    CLAIMS,
    COUNTED,
    FAULTS,
    GUARDS,
    HELD,
    NEEDS_A_LOOK,
    OUTCOMES,
    PLANNED,
    REASONS,
    REFUSALS,
    STATUSES,
)

PACKAGE = Path(vocabulary.__file__).parent
ELSEWHERE = {"sandbox", "simulate", "mapping", "doctor", "cli", "state"}


@pytest.mark.parametrize("name", OUTCOMES)
def test_an_outcome_has_words_a_meaning_a_colour_of_its_own_and_a_remedy(name: str) -> None:
    outcome = OUTCOMES[name]

    assert outcome.words and outcome.meaning and outcome.remedy.endswith(".")
    assert len(outcome.colour) == 7 and outcome.colour.startswith("#")
    assert not (outcome.right and outcome.fault)


def test_every_outcome_has_a_colour_of_its_own_except_a_change_and_its_plan() -> None:
    colours = [outcome.colour for name, outcome in OUTCOMES.items() if name != PLANNED]

    assert len(set(colours)) == len(colours)


@pytest.mark.parametrize("name", REASONS)
def test_a_reason_has_words_and_a_remedy(name: str) -> None:
    reason = REASONS[name]

    assert reason.words and not reason.words.endswith(".") and reason.remedy.endswith(".")
    assert reason.benign == (name in BENIGN)


def test_every_rule_that_holds_a_pair_is_a_reason() -> None:
    held = {rule.__name__ for rule in plan.RULES} | set(items.REASON.categories)

    assert held <= set(REASONS)


@pytest.mark.parametrize("name", STATUSES)
def test_a_status_has_an_exit_code_words_and_a_mark(name: str) -> None:
    status = STATUSES[name]

    assert status.words and len(status.mark) == 1
    assert status.exit_code in {0, NEEDS_A_LOOK, errors.GuardStopped.exit_code, errors.SystemFailed.exit_code}


def test_statuses_are_ranked_from_well_to_worst() -> None:
    ranked = sorted(STATUSES, key=lambda name: STATUSES[name].rank)

    assert ranked == ["planned", "done", "partial", "stopped", "failed"]
    assert len({status.mark for status in STATUSES.values()}) == len(STATUSES)


def test_every_guard_of_the_settings_has_words() -> None:
    limits = set(settings.Guards.model_fields) - {"min_pairs"}

    assert limits <= set(GUARDS)


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_is_free_or_closed_or_open(name: str) -> None:
    assert not (CLAIMS[name].free and CLAIMS[name].closed)


def test_an_outcome_outside_the_vocabulary_is_an_error_and_never_dropped() -> None:
    outcomes = pl.DataFrame({"outcome": ["applied", "vanished"], "reason": [None, None], "delta": [1, 1]})

    with pytest.raises(ValueError, match="'vanished' is not in the vocabulary"):
        record.counts(outcomes)
    with pytest.raises(ValueError, match="None is not in the vocabulary"):
        record.counts(outcomes.with_columns(outcome=pl.lit(None, dtype=pl.String)))


def test_every_outcome_is_counted_and_a_planned_one_as_held() -> None:
    outcomes = pl.DataFrame({"outcome": list(OUTCOMES)})

    assert record.counts(outcomes) == dict.fromkeys(COUNTED, 1) | {HELD: 2}


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("reason", [None, *REASONS, *REFUSALS, "A_NEW_CODE"])
def test_a_fault_is_one_fact_for_rows_and_words(outcome: str, reason: str | None) -> None:
    row = pl.DataFrame(
        {"outcome": [outcome], "reason": [reason], "target": [1.0]}, schema_overrides={"reason": pl.String}
    )
    fault = row.select(vocabulary.is_fault()).item()

    assert fault == (outcome in FAULTS or (outcome == HELD and reason not in BENIGN))
    assert vocabulary.outcome_words(outcome, reason).startswith(OUTCOMES[outcome].words)
    assert vocabulary.remedy(outcome, reason, target=1).endswith(".")


def test_no_other_module_spells_these_names() -> None:
    spelled = {*OUTCOMES, *REASONS, *vocabulary.JOBS, "quarantined"} - {HELD, "unknown", "guard", "bundle", "refused"}
    spelled -= {rule.__name__ for rule in plan.RULES} - {"malformed"}
    modules = [
        path for path in PACKAGE.rglob("*.py") if path.name != "vocabulary.py" and not ELSEWHERE & set(path.parts)
    ]

    again = {
        f"{path.relative_to(PACKAGE)}: {node.value}"
        for path in modules
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in spelled
    }
    assert not again


@pytest.mark.parametrize(
    ("reason", "target", "benign"),
    [
        ("inactive_level", -1.0, True),
        ("inactive_level", 0.0, True),
        ("inactive_level", None, True),
        ("inactive_level", 1.0, False),
        ("fractional", 0.0, False),
        ("bundle", 5.0, True),
        (None, 0.0, False),
    ],
)
def test_an_inactive_level_is_benign_while_nothing_is_to_be_sold_there(
    reason: str | None, target: float | None, benign: bool
) -> None:
    row = pl.DataFrame({"reason": [reason], "target": [target]}, schema={"reason": pl.String, "target": pl.Float64})

    assert row.select(vocabulary.is_benign()).item() is benign


@pytest.mark.parametrize(
    ("outcome", "reason", "target", "remedy"),
    [
        (HELD, "inactive_level", 0.0, vocabulary.NOTHING_THERE),
        (HELD, "inactive_level", None, vocabulary.NOTHING_THERE),
        (HELD, "inactive_level", 1.0, REASONS["inactive_level"].remedy),
        (HELD, "fractional", 0.0, REASONS["fractional"].remedy),
        ("refused", "INVALID_LOCATION", 0.0, REFUSALS["INVALID_LOCATION"]),
        ("refused", "A_NEW_CODE", 0.0, OUTCOMES["refused"].remedy),
        ("an_older_outcome", None, 0.0, OUTCOMES[HELD].remedy),
    ],
)
def test_a_remedy_is_that_of_the_reason_else_that_of_the_outcome(
    outcome: str, reason: str | None, target: float | None, remedy: str
) -> None:
    assert vocabulary.remedy(outcome, reason, target) == remedy


@pytest.mark.parametrize(
    ("outcome", "reason", "words"),
    [
        ("applied", None, "Sent and confirmed"),
        (HELD, "fractional", "Held: not a whole number of units"),
        ("refused", "A_NEW_CODE", "Refused by Shopify: a new code"),
        ("an_older_outcome", "from_Acme", "an older outcome: from Acme"),
    ],
)
def test_a_name_that_has_no_words_is_its_own(outcome: str, reason: str | None, words: str) -> None:
    assert vocabulary.outcome_words(outcome, reason) == words


def test_no_reason_has_no_words() -> None:
    assert vocabulary.reason_words(None) == ""


@pytest.mark.parametrize(
    ("outcome", "reason", "ids", "advice"),
    [
        (
            HELD,
            "overwritten",
            {"item": "44", "place": "Online"},
            "Find the app or integration that writes the number of",
        ),
        (HELD, "overwritten", {"item": "44", "place": ""}, vocabulary.remedy(HELD, "overwritten")),
        (HELD, "overwritten", {"item": "44"}, vocabulary.remedy(HELD, "overwritten")),
        (HELD, "ambiguous_mapping", {"links": "product A is linked twice"}, "Product A is linked twice: remove one"),
        (
            "unknown",
            None,
            {"item": "44", "place": "Online", "runs": "3"},
            "Look up item 44 at Online in Shopify: 3 runs",
        ),
        ("unknown", "A_NEW_CODE", {"item": "44", "place": "Online", "runs": "3"}, "Look up item 44 at Online"),
        (HELD, "bundle", {"item": "44"}, vocabulary.remedy(HELD, "bundle")),
        (HELD, "inactive_level", {}, vocabulary.NOTHING_THERE),
    ],
)
def test_advice_names_the_ids_and_is_the_remedy_where_one_lacks(
    outcome: str, reason: str | None, ids: dict[str, str], advice: str
) -> None:
    assert vocabulary.advice(outcome, reason, 0, ids).startswith(advice) and advice
