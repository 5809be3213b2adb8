"""The image, the compose file and the workflows: their rules, and that what they name exists."""

import importlib.resources
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from dockerfile import DEPLOY, Instruction, instructions, stages
from packaging.requirements import Requirement
from typer.main import get_command

from invsync.cli import app
from invsync.config import secrets, settings
from invsync.config.settings import Settings

ROOT = Path(__file__).parents[1]
TEXT = (DEPLOY / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
OURS = {name: one for name, one in COMPOSE["services"].items() if one["image"].startswith("${INVSYNC_IMAGE")}
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SECRET = re.compile("token|secret|passw|key|credential", re.IGNORECASE)
PINNED = re.compile(r"[a-z/]+:\d+\.\d+(\.\d+)?-[a-z-]+")
CONFIG = "/etc/invsync/invsync.toml"


def named(name: str, stage: list[Instruction] | None = None) -> list[Instruction]:
    """Every instruction of this name, of one stage or of all."""
    return [one for one in stage or instructions(TEXT) if one.name == name]


def exists(words: list[str]) -> bool:
    """Whether these words are a command of ours with options that it has."""
    command = get_command(app)
    while hasattr(command, "commands") and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    options = {option for parameter in command.params for option in parameter.opts}
    return not hasattr(command, "commands") and {word for word in words if word.startswith("--")} <= options


def schema(name: str) -> dict[str, Any]:
    """A schema that check-jsonschema brings with it."""
    vendored = pytest.importorskip("check_jsonschema.builtin_schemas", reason="check-jsonschema is not installed")
    return json.loads(importlib.resources.files(vendored).joinpath("vendor", f"{name}.json").read_text())


# -- the image


def test_both_stages_begin_with_the_same_pinned_image() -> None:
    bases = [one.words[0] for one in named("FROM")]

    assert len(bases) == 2 and len(set(bases)) == 1
    assert PINNED.fullmatch(bases[0])


def test_the_image_runs_as_a_user_without_rights() -> None:
    *_, last = stages(TEXT)
    (user,) = named("USER", last)
    names = [one.name for one in last]

    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user.value)
    assert not {"RUN", "COPY", "ADD"} & set(names[names.index("USER") :])


def test_no_shell_reads_a_step_and_nothing_is_downloaded_by_one() -> None:
    steps = [one for name in ("RUN", "ENTRYPOINT", "CMD", "VOLUME") for one in named(name)]

    assert len(steps) > 5 and all(one.is_exec for one in steps)
    assert not named("ADD") and "://" not in TEXT


def test_no_secret_can_be_built_in() -> None:
    names = [name for kind in ("ARG", "ENV", "LABEL") for one in named(kind) for name in one.pairs]

    assert names and not [name for name in names if SECRET.search(name)]


def test_the_labels_are_those_of_the_image_specification() -> None:
    labels = {name: value for one in named("LABEL") for name, value in one.pairs.items()}

    assert all(name.startswith("org.opencontainers.image.") for name in labels)
    assert labels["org.opencontainers.image.version"] == "${VERSION}"


def test_the_image_begins_and_is_checked_with_commands_that_exist() -> None:
    (entrypoint,), (begins,), (health,) = named("ENTRYPOINT"), named("CMD"), named("HEALTHCHECK")
    checks = json.loads(health.value.removeprefix("CMD "))

    assert entrypoint.words == checks[:1] == ["invsync"]
    assert exists(begins.words) and exists(checks[1:])
    assert begins.words[-1] == checks[-1] == CONFIG


def test_the_image_has_what_the_package_offers() -> None:
    (installed,) = [word for one in named("RUN") for word in one.words if word.startswith(".[")]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

    assert Requirement(f"invsync{installed[1:]}").extras <= extras.keys()
    assert "constraints.txt" in next(one for one in named("RUN") if installed in one.words).words
    assert f"--constraint constraints.txt '{installed}'" in (ROOT / "Makefile").read_text()  # of `make sbom`


def test_only_what_is_copied_reaches_the_builder() -> None:
    lines = [line for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] != "#"]
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = {word for one in named("COPY") if "from" not in one.flags for word in one.words[:-1]}

    assert lines[0] == "*" and allowed == copied
    assert all((ROOT / name).exists() for name in copied)


def test_hadolint_has_nothing_to_say() -> None:
    linter = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if linter is None:
        pytest.skip("hadolint is not installed")
    command = [linter, "--failure-threshold", "warning", str(DEPLOY / "Dockerfile")]

    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout


# -- the compose file


def test_the_compose_file_is_one_of_the_specification() -> None:
    jsonschema.validate(COMPOSE, schema("compose-spec"))

    assert COMPOSE["services"].keys() == {"database", "scheduler", "receiver", "reports", "admin"}


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_service_can_change_nothing_but_its_volumes(name: str) -> None:
    service = COMPOSE["services"][name]

    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service and "cap_add" not in service
    assert service["healthcheck"] == {"disable": True} if "profiles" in service else service["healthcheck"]["test"]


def test_the_images_of_others_are_pinned() -> None:
    others = [one["image"] for name, one in COMPOSE["services"].items() if name not in OURS]

    assert others and all(PINNED.fullmatch(image) for image in others)


@pytest.mark.parametrize("name", OURS)
def test_a_service_runs_a_command_that_exists_with_its_configuration(name: str) -> None:
    service = OURS[name]
    (config,) = service["configs"]
    checks = service["healthcheck"].get("test", [])[1:]

    assert exists(service["command"]) and service["command"][-2:] == ["--config", config["target"]]
    assert config["target"] == CONFIG
    assert not checks or checks[0] == "python" or exists(checks[1:])


def test_ports_are_open_to_this_machine_only() -> None:
    ports = [port for one in COMPOSE["services"].values() for port in one.get("ports", [])]

    assert len(ports) == 2 and all(port.startswith("127.0.0.1:") for port in ports)


def test_the_database_is_reached_by_those_who_wait_for_it() -> None:
    reach = {name for name, one in COMPOSE["services"].items() if "state" in one["networks"]} - {"database"}
    wait = {
        name for name, one in OURS.items() if one.get("depends_on") == {"database": {"condition": "service_healthy"}}
    }

    assert reach == wait == {"scheduler", "receiver", "admin"}
    assert COMPOSE["networks"]["state"]["internal"]


def sample() -> Settings:
    return settings.load(DEPLOY / "invsync.toml")


def test_each_secret_of_the_configuration_is_a_file_and_a_service_has_only_its_own() -> None:
    files = {f"{name}_FILE": f"/run/secrets/{name.lower()}" for name in secrets.variables(sample())}
    given = {name: set(one.get("environment", {}).items()) for name, one in OURS.items()}
    mounted = {name: set(one.get("secrets", [])) for name, one in OURS.items()}

    assert set(files.items()) == set().union(*given.values())
    for name, variables in given.items():
        needed = {Path(path).name for _, path in variables}
        assert mounted[name] == needed | ({"state_pgpass"} if "state" in OURS[name]["networks"] else set())
    assert set().union(*mounted.values()) | {"database_password"} == COMPOSE["secrets"].keys()


def test_the_configuration_keeps_everything_below_data_or_in_the_database() -> None:
    configured = sample()

    assert configured.reports.path.startswith("/data/")
    assert (
        configured.state.url.startswith("postgresql") and "passfile=/run/secrets/state_pgpass" in configured.state.url
    )


# -- the workflows


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_one_of_githubs(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    workflow["on"] = workflow.pop(True)  # YAML 1.1 reads `on` as a truth value

    jsonschema.validate(workflow, schema("github-workflows"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_pins_its_actions_and_has_no_rights_by_itself(path: Path) -> None:
    text = path.read_text()
    uses = re.findall(r"uses: (.+)", text)

    assert uses and all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[\d.]+", action) for action in uses)
    assert yaml.safe_load(text)["permissions"] == {}
