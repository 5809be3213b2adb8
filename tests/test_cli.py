"""The commands as they are typed: exit codes, and words on standard error."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from invsync.cli import app


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["run", "upload-recent-changes", "--shop", "demo", "-p", "dry_rum=true"], "Parameter 'dry_rum' is unknown"),
        (
            ["run", "upload-recent-changes", "--shop", "demo", "-p", "dry_run=maybe"],
            "Parameter dry_run must be bool",
        ),
        (["run", "upload-recent-changes", "--shop", "../evil"], "must match"),
        (["run", "pull-everything", "--shop", "demo"], "Job 'pull-everything' is unknown"),
        (["run", "upload-recent-changes", "--shop", "demo", "--engine", "steam"], "Engine 'steam' is unknown"),
        (["run", "upload-recent-changes", "--shop", "demo", "--at", "2026-01-01T00:00:00"], "with an offset or Z"),
        (["run", "upload-recent-changes", "--shop", "demo"], "does not exist: name it with --config"),
    ],
)
def test_wrong_usage_exits_2_with_one_sentence_and_touches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(app, typed)

    assert result.exit_code == 2
    assert words in result.stderr
    assert list(tmp_path.iterdir()) == []
