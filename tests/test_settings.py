"""Where the configuration comes from, and what is said when it is wrong."""

from pathlib import Path

import pytest

from chatd.settings import ConfigError, effective, ensure_secrets, load
from chatd.template import template

SECRET = "0123456789abcdef0123456789abcdef"


def test_later_sources_win(tmp_path: Path) -> None:
    path = tmp_path / "chatd.toml"
    path.write_text("[gateway]\nport = 1\nhost = 'a'\n[tenants.acme]\nsecret = 'x'\n")
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    environment = {
        "CHATD_GATEWAY__PORT": "2",
        "CHATD_AUTH__SECRET_FILE": str(secret),
        "CHATD_GATEWAY__ORIGINS": "https://a, https://b",
    }
    loaded = load(path, environment | {"CHATD_AUTH__ANONYMOUS": "off", "CHATD_TENANTS__ACME__ISSUER": "i"})
    config = loaded.config
    assert (config.gateway.port, config.gateway.host, config.http.port) == (2, "a", 8081)
    assert config.gateway.origins == ["https://a", "https://b"]
    assert (config.auth.secret, config.auth.anonymous) == (SECRET, False)
    assert (config.tenants["acme"].secret, config.tenants["acme"].issuer) == ("x", "i")
    sources = {key: source for key, _, source in effective(loaded)}
    assert sources["gateway.host"] == f"{path}:3"
    assert (sources["gateway.port"], sources["http.port"]) == ("CHATD_GATEWAY__PORT", "default")


def test_all_mistakes_are_named_at_once_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "chatd.toml"
    path.write_text("[gateway]\nprot = 1\nport = 'x'\n[auth]\nsecret = 5\n[nonsense]\na = 1\n")
    with pytest.raises(ConfigError) as caught:
        load(path, {"CHATD_HTTP__PORT": "70000", "CHATD_REDIS__PASSWORD_FILE": "/nowhere"})
    text = str(caught.value)
    for part in (
        f"gateway.prot = 1 ({path}:2)",
        "did you mean gateway.port?",
        f"gateway.port = 'x' ({path}:3)",
        "nonsense.a",
        "http.port = 70000 (CHATD_HTTP__PORT)",
        "/nowhere",
    ):
        assert part in text
    assert "auth.secret = [secret]" in text


@pytest.mark.parametrize("text", ["[gateway", "a = \xff", "x = 1"])
def test_what_is_no_configuration(tmp_path: Path, text: str) -> None:
    path = tmp_path / "chatd.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"chatd\.toml"):
        load(path, {})


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    loaded = load(
        None, {"CHATD_AUTH__SECRET": SECRET, "CHATD_POSTGRES__DSN": "postgresql://u:pw@h/d", "CHATD_TENANTS__A__SECRET": SECRET}
    )
    text = "".join(f"{key}{value}{source}" for key, value, source in effective(loaded))
    assert SECRET not in text
    assert "pw@" not in text


def test_the_template_holds_every_default_and_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "chatd.toml"
    path.write_text(template({"auth.secret": SECRET}))
    assert load(path, {}).config.auth.secret == SECRET
    assert all(source.startswith(str(path)) for _, _, source in effective(load(path, {})))


def test_secrets_are_made_once_and_only_where_nobody_shares_them(tmp_path: Path) -> None:
    environment = {"CHATD_DATA__DIR": str(tmp_path / "data")}
    first, second = (ensure_secrets(load(None, environment).config) for _ in range(2))
    assert (first.auth.secret, first.data.secret) == (second.auth.secret, second.data.secret)
    assert first.auth.secret != first.data.secret
    for name, secret in (("secret", first.auth.secret), ("installation_secret", first.data.secret)):
        assert len(secret) >= 32
        assert (tmp_path / "data" / name).stat().st_mode & 0o777 == 0o600
    shared = environment | {"CHATD_POSTGRES__DSN": "postgresql://h/d"}
    found = ensure_secrets(load(None, shared | {"CHATD_DATA__DIR": str(tmp_path / "new")}).config)
    assert (found.auth.secret, found.data.secret) == ("", "")
    # What is there is used by every command; only `serve` makes one.
    assert ensure_secrets(load(None, shared).config).data.secret == first.data.secret
    assert ensure_secrets(load(None, shared | {"CHATD_DATA__SECRET": SECRET}).config).data.secret == SECRET


def test_the_secret_of_the_installation_does_not_depend_on_tokens(tmp_path: Path) -> None:
    """With RS256 there is no auth.secret: everything that is no token is keyed all the same."""
    environment = {"CHATD_DATA__DIR": str(tmp_path), "CHATD_AUTH__ALGORITHM": "RS256", "CHATD_AUTH__JWKS": "keys.json"}
    config = ensure_secrets(load(None, environment).config)
    assert config.auth.secret == ""
    assert len(config.data.secret) >= 32


def test_a_list_may_be_a_file(tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.write_text("# not wanted\ndarn\n\n  kill yourself \n")
    path = tmp_path / "chatd.toml"
    path.write_text(f'[filters]\nwords_file = "{words}"\n[tenant_filters.acme]\naction = "mask"\n')
    config = load(path, {}).config
    assert config.filters.words == ["darn", "kill yourself"]
    assert config.tenant_filters["acme"].action == "mask"


def test_a_choice_is_one_of_a_few(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"filters.links = 'some'"):
        load(None, {"CHATD_FILTERS__LINKS": "some"})
