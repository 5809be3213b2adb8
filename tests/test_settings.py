"""The configuration: strict, under INVSYNC_ variables, and never a secret in what it says."""

from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from invsync.config import settings
from invsync.errors import UsageError

MINIMAL = """
[shops.acme]
domain = "acme.myshopify.com"
token_env = "ACME_TOKEN"
{shop}
[shops.acme.oms]
url = "sqlite:///oms.db"
shop_id = "ACME"
{oms}
"""
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(shop: str = "", oms: str = "", more: str = "") -> Path:
        path = tmp_path / "invsync.toml"
        path.write_text(MINIMAL.format(shop=shop, oms=oms) + more)
        return path

    return written


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as refused:
        settings.load(path)
    return str(refused.value)


def test_a_minimal_file_is_enough(write: Write) -> None:
    shop = settings.load(write()).shop("acme")

    assert (shop.keep_by, shop.api_version, shop.base_url) == ("resets", "2026-10", "https://acme.myshopify.com")


def test_a_file_is_checked_again_only_when_it_or_a_variable_has_changed(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = settings.load(write())
    assert settings.load(write()) is first

    assert settings.load(write(shop="overlap_minutes = 1")).shop("acme").overlap_minutes == 1
    monkeypatch.setenv("INVSYNC_SHOPS__ACME__OVERLAP_MINUTES", "2")
    assert settings.load(write(shop="overlap_minutes = 1")).shop("acme").overlap_minutes == 2
    monkeypatch.setenv("invsync_shops__acme__overlap_minutes", "3")
    monkeypatch.delenv("INVSYNC_SHOPS__ACME__OVERLAP_MINUTES")
    assert settings.load(write(shop="overlap_minutes = 1")).shop("acme").overlap_minutes == 3


def test_what_is_kept_by_default_and_for_ever(write: Write) -> None:
    kept = settings.load(write()).state
    ever = settings.load(write(more="[state]\nkeep_claims_days = 0\nkeep_runs_days = 0\nkeep_webhooks_days = 0")).state

    assert (kept.keep_claims_days, kept.keep_runs_days, kept.keep_webhooks_days) == (400, 400, 7)
    assert (ever.keep_claims_days, ever.keep_runs_days, ever.keep_webhooks_days) == (0, 0, 0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ({"shop": 'kepp_by = "deltas"'}, "shops.acme.kepp_by: Extra inputs are not permitted"),
        ({"oms": 'shopid = "x"'}, "shops.acme.oms.shopid: Extra inputs"),
        ({"more": "[stat]\nurl = 'x'"}, "stat: Extra inputs"),
        (
            {"more": "[state]\nkeep_claims_days = 59"},
            "state.keep_claims_days: Value error, 59 days are too few; write 60 or more, or 0",
        ),
        ({"more": "[state]\nkeep_runs_days = 29"}, "state.keep_runs_days: Value error, 29 days are too few"),
        ({"more": "[state]\nkeep_webhooks_days = 2"}, "state.keep_webhooks_days: Value error, 2 days are too few"),
        ({"more": "[reports]\nkeep_days = 29"}, "reports.keep_days: Value error, 29 days are too few"),
        ({"more": "[state]\nkeep_runs_days = -1"}, "state.keep_runs_days: Input should be greater than or equal to 0"),
        ({"shop": 'api_version = "2026-11"'}, "shops.acme.api_version: String should match"),
        ({"shop": 'endpoint = "http://acme.example"'}, "plain http is refused off loopback"),
        ({"shop": 'timezone = "Europe/Pariss"'}, "time zone 'Europe/Pariss' is unknown"),
        ({"shop": 'timezone = "../../etc/passwd"'}, "is unknown; write one as Europe/Paris"),
        ({"oms": 'timezone = "EST5"'}, "shops.acme.oms.timezone: Value error, time zone 'EST5' is unknown"),
        ({"shop": 'locale = "english"'}, "shops.acme.locale: String should match"),
        ({"more": '[shops.acme.schedule]\nhard_sync = "0 3 * *"'}, "'0 3 * *' is not a cron text of five fields"),
        ({"shop": 'aggregate_location = "gid://shopify/Location/7"'}, "is not a location's digits"),
        ({"shop": "aggregate_location = true"}, "True is not a location's digits"),
        ({"shop": "aggregate_location = 7.0"}, "7.0 is not a location's digits"),
        ({"more": '[shops.Acme_UK]\ndomain = "x"\ntoken_env = "T"\noms = {shop_id = "x"}'}, "must match [a-z0-9]"),
        ({"more": "[[["}, "is not TOML in UTF-8"),
    ],
)
def test_what_is_wrong_is_named(write: Write, text: dict[str, str], words: str) -> None:
    assert words in refusal(write(**text))


@pytest.mark.parametrize("locale", ["en", "en_GB", "pt-BR", "zh_Hant_TW", "es_419"])
def test_locales(write: Write, locale: str) -> None:
    assert settings.load(write(shop=f'locale = "{locale}"')).shop("acme").locale == locale


@pytest.mark.parametrize("location", ["7", '"7"'])
def test_the_aggregate_location_is_digits_as_a_number_or_a_string(write: Write, location: str) -> None:
    assert settings.load(write(shop=f"aggregate_location = {location}")).shop("acme").aggregate_location == 7


def test_a_file_that_is_not_there_or_cannot_be_read(tmp_path: Path) -> None:
    assert "does not exist: name it with --config" in refusal(tmp_path / "none.toml")
    assert "cannot be read (Is a directory): correct --config" in refusal(tmp_path)


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'name = "caf\xe9"')

    assert "is not TOML in UTF-8" in refusal(tmp_path / "latin.toml")


def test_the_environment_stands_above_the_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in [
        ("STATE__URL", "postgresql://db/state"),
        ("SHOPS__ACME__API_VERSION", "2027-01"),
        ("SHOPS__ACME__AGGREGATE_LOCATION", "77"),
        ("SHOPS__ACME__GUARDS__MAX_ZEROED_SHARE", "0.2"),
        ("SHOPS__ACME__DELTA_REASONS", '["VAR_LOST", "VAR_FOUND"]'),
        ("SHOPS__ACME__ENDPOINT", ""),
    ]:
        monkeypatch.setenv(f"INVSYNC_{name}", value)

    loaded = settings.load(write(shop='api_version = "2026-10"'))
    shop = loaded.shop("acme")

    assert loaded.state.url == "postgresql://db/state" and shop.domain == "acme.myshopify.com"
    assert (shop.api_version, shop.aggregate_location, shop.endpoint) == ("2027-01", 77, None)
    assert shop.guards.max_zeroed_share == 0.2 and shop.delta_reasons == ("VAR_LOST", "VAR_FOUND")


def test_a_shop_may_come_from_the_environment_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "invsync.toml").write_text("")
    for name, value in [("DOMAIN", "uk.myshopify.com"), ("TOKEN_ENV", "UK_TOKEN"), ("OMS__SHOP_ID", "UK")]:
        monkeypatch.setenv(f"INVSYNC_SHOPS__ACME_UK__{name}", value)

    assert settings.load(tmp_path / "invsync.toml").shop("acme-uk").oms.shop_id == "UK"


def test_a_key_misspelt_in_the_environment_is_refused_by_name(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVSYNC_SHOPS__ACME__KEPP_BY", "deltas")

    assert "INVSYNC_ variable is wrong: shops.acme.kepp_by: Extra" in refusal(write())


@pytest.mark.parametrize("name", ["INVSYNC_RUN", "INVSYNC_DEMO_TOKEN", "INVSYNC_ACME_TOKEN", "INVSYNC_STATE_PASSWORD"])
def test_a_variable_that_is_no_key_is_left_alone(write: Write, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "whatever")

    assert settings.load(write()).shop("acme").domain == "acme.myshopify.com"


def test_a_part_that_cannot_be_read_is_named_without_its_value(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVSYNC_SHOPS", "s3cret, not JSON")

    message = refusal(write())

    assert 'field "shops"' in message and "name one key, as INVSYNC_STATE__URL" in message and "s3cret" not in message


def test_an_address_with_a_password_is_in_no_repr(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVSYNC_STATE__URL", "postgresql://u:s3cret@db/state")
    monkeypatch.setenv("INVSYNC_SHOPS__ACME__OMS__URL", "mysql+pymysql://u:s3cret@db/oms")

    assert "s3cret" not in repr(settings.load(write()))


class Ring(KeyringBackend):
    """A system keyring that holds one secret, or is locked."""

    priority = -1.0
    locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked
        return {("invsync", "ACME_TOKEN"): "from the ring"}.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError


@pytest.fixture
def ring() -> Iterator[Ring]:
    before, ring = keyring.get_keyring(), Ring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


def test_a_secret_is_sought_in_the_variable_then_the_file_then_the_keyring(ring: Ring, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from the file\n")
    file = {"ACME_TOKEN_FILE": str(tmp_path / "token")}

    assert settings.secret("ACME_TOKEN", file | {"ACME_TOKEN": "from the variable"}) == "from the variable"
    assert settings.secret("ACME_TOKEN", file) == "from the file"
    assert settings.secret("ACME_TOKEN", {}) == "from the ring"


@pytest.mark.parametrize("locked", [False, True])
def test_a_secret_that_is_nowhere_names_all_three_ways(ring: Ring, locked: bool) -> None:
    ring.locked = locked

    with pytest.raises(UsageError, match=r"export OTHER, name its file in OTHER_FILE, .* `keyring set invsync OTHER`"):
        settings.secret("OTHER", {"OTHER": ""})


def test_a_secret_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none that TOKEN_FILE names cannot be read \(FileNotFoundError\)"):
        settings.secret("TOKEN", {"TOKEN_FILE": str(tmp_path / "none")})


def test_a_shop_without_a_secret_asks_for_none() -> None:
    assert settings.secret(None, {}) is None


@pytest.mark.parametrize(
    "pasted",
    [
        "word\n",
        "word\r\n",
        " word\t",
        "\ufeffword",
        "\u200bword\u00a0",
        '"word"',
        "'word' ",
        "\u201cword\u201d",
        "word\0",
    ],
)
def test_what_was_pasted_around_a_secret_is_no_part_of_it(pasted: str, tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "token").write_bytes(pasted.encode(encoding))

        assert settings.secret("TOKEN", {"TOKEN": pasted}) == "word"
        assert settings.secret("TOKEN", {"TOKEN_FILE": f"{tmp_path}/token\n"}) == "word"


def test_the_inside_of_a_secret_stays() -> None:
    url = "mysql://sync:p\u00e4\"ss '%40#word@db/hotwax"

    assert settings.secret("URL", {"URL": url}) == url


@pytest.mark.parametrize("broken", ["one\ntwo", "one\0two", "one\u2028two", "caf\udce9"])
def test_a_secret_that_cannot_be_one_is_refused_by_its_variable(broken: str) -> None:
    with pytest.raises(UsageError, match=r"^Secret TOKEN holds a line break") as refused:
        settings.secret("TOKEN", {"TOKEN": broken})

    assert "one" not in str(refused.value) and "caf" not in str(refused.value)


@pytest.mark.parametrize("broken", ["one two", "caf\u00e9", "on\u200be"])
def test_a_token_that_no_header_can_hold_is_refused_by_its_variable(broken: str) -> None:
    assert settings.secret("TOKEN", {"TOKEN": broken}) == broken
    with pytest.raises(UsageError, match=r"^Secret TOKEN holds a blank or a letter"):
        settings.token("TOKEN", {"TOKEN": broken})


@pytest.mark.parametrize("empty", ["", " \n", "\ufeff", '""'])
def test_an_empty_secret_is_said_to_be_empty(empty: str, ring: Ring) -> None:
    with pytest.raises(UsageError, match=r"^Secret TOKEN is empty: export TOKEN"):
        settings.secret("TOKEN", {"TOKEN": empty})


def test_a_file_of_a_windows_editor_is_read(tmp_path: Path) -> None:
    path = tmp_path / "invsync.toml"
    path.write_bytes('[reports]\r\npath = "Ber\u00edchte"\r\n'.encode("utf-8-sig"))

    assert settings.load(path).reports.path == "Ber\u00edchte"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_file_in_another_encoding_is_named_by_it(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "invsync.toml"
    path.write_bytes('[reports]\npath = "r"\n'.encode(encoding))

    with pytest.raises(UsageError, match=f"is in {encoding.upper()}: save it as UTF-8"):
        settings.load(path)
