"""Where the configuration comes from, and the errors when it is invalid."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from chatd.accounts.settings import AuthSettings, TenantSettings
from chatd.cli.check import faults
from chatd.cli.common import ensure_secrets
from chatd.core.config import Config, Limits, NamedSettings, Settings
from chatd.core.errors import OperatorError
from chatd.core.setting_names import SettingNames, variable_of
from chatd.core.settings import ConfigError, Loaded, effective
from chatd.core.settings import load as load_settings
from chatd.core.template import template, toml
from chatd.filters.settings import FilterSettings
from chatd.subsystems import setting_names

SECRET = "0123456789abcdef0123456789abcdef"
NAMES = setting_names()


@pytest.fixture(scope="module")
def empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty")


@pytest.fixture(autouse=True)
def _no_file_here(monkeypatch: pytest.MonkeyPatch, empty_folder: Path) -> None:
    """Without a file in the current folder; `load` would read that of the repository."""
    monkeypatch.chdir(empty_folder)


def load(path: Path | None, environment: Mapping[str, str]) -> Loaded:
    return load_settings(path, environment, NAMES)


def test_later_sources_take_precedence(tmp_path: Path) -> None:
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
    assert (config.get(AuthSettings).secret, config.get(AuthSettings).anonymous) == (SECRET, False)
    assert (config.named(TenantSettings)["acme"].secret, config.named(TenantSettings)["acme"].issuer) == ("x", "i")
    sources = {key: source for key, _, source in effective(loaded)}
    assert sources["gateway.host"] == f"{path}:3"
    assert (sources["gateway.port"], sources["http.port"]) == ("CHATD_GATEWAY__PORT", "default")


def test_all_problems_are_reported_with_their_source(tmp_path: Path) -> None:
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
def test_invalid_files_are_rejected(tmp_path: Path, text: str) -> None:
    path = tmp_path / "chatd.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"chatd\.toml"):
        load(path, {})


def test_secrets_are_masked(tmp_path: Path) -> None:
    loaded = load(
        None,
        {
            "CHATD_AUTH__SECRET": SECRET,
            "CHATD_POSTGRES__DSN": "postgresql://u:pw@h/d",
            "CHATD_TENANTS__A__SECRET": SECRET,
        },
    )
    text = "".join(f"{key}{value}{source}" for key, value, source in effective(loaded))
    assert SECRET not in text
    assert "pw@" not in text


def test_template_contains_all_defaults_and_can_be_loaded(tmp_path: Path) -> None:
    path = tmp_path / "chatd.toml"
    path.write_text(template(NAMES, {"auth.secret": SECRET}))
    assert load(path, {}).config.get(AuthSettings).secret == SECRET
    assert all(source.startswith(str(path)) for _, _, source in effective(load(path, {})))


def test_secrets_are_generated_once_and_only_in_a_private_folder(tmp_path: Path) -> None:
    environment = {"CHATD_DATA__DIR": str(tmp_path / "data")}
    first, second = (ensure_secrets(load(None, environment).config) for _ in range(2))
    assert (first.get(AuthSettings).secret, first.data.secret) == (second.get(AuthSettings).secret, second.data.secret)
    assert first.get(AuthSettings).secret != first.data.secret
    for name, secret in (("secret", first.get(AuthSettings).secret), ("installation_secret", first.data.secret)):
        assert len(secret) >= 32
        assert (tmp_path / "data" / name).stat().st_mode & 0o777 == 0o600
    shared = environment | {"CHATD_POSTGRES__DSN": "postgresql://h/d"}
    found = ensure_secrets(load(None, shared | {"CHATD_DATA__DIR": str(tmp_path / "new")}).config)
    assert (found.get(AuthSettings).secret, found.data.secret) == ("", "")
    # What is there is used by every command; only `serve` makes one.
    assert ensure_secrets(load(None, shared).config).data.secret == first.data.secret
    assert ensure_secrets(load(None, shared | {"CHATD_DATA__SECRET": SECRET}).config).data.secret == SECRET


def test_reading_commands_write_no_secret(tmp_path: Path) -> None:
    environment = {"CHATD_DATA__DIR": str(tmp_path / "data")}
    found = ensure_secrets(load(None, environment).config, make=False)
    assert len(found.get(AuthSettings).secret) >= 32
    assert len(found.data.secret) >= 32
    assert list(tmp_path.iterdir()) == []
    kept = ensure_secrets(load(None, environment).config)
    assert ensure_secrets(load(None, environment).config, make=False) == kept


@pytest.mark.parametrize("name", ["secret", "installation_secret"])
@pytest.mark.parametrize(
    ("content", "problem"), [(b"", "is empty"), (b"\xff" * 40, "cannot be read"), (None, "cannot be read")]
)
def test_unusable_stored_secret_is_reported(tmp_path: Path, name: str, content: bytes | None, problem: str) -> None:
    ensure_secrets(load(None, {"CHATD_DATA__DIR": str(tmp_path)}).config)
    path = tmp_path / name
    path.unlink()
    path.mkdir() if content is None else path.write_bytes(content)
    for make in (False, True):
        with pytest.raises(OperatorError, match=f"{name} {problem}"):
            ensure_secrets(load(None, {"CHATD_DATA__DIR": str(tmp_path)}).config, make=make)


def test_uncreatable_data_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/chatd-data")):
        environment = {"CHATD_DATA__DIR": str(folder)}
        with pytest.raises(OperatorError, match=r"cannot be written \(.*data\.dir"):
            ensure_secrets(load(None, environment).config)
        assert ensure_secrets(load(None, environment).config, make=False).get(AuthSettings).secret


def test_the_secret_of_the_installation_does_not_depend_on_tokens(tmp_path: Path) -> None:
    """With RS256 there is no auth.secret: everything that is no token is keyed all the same."""
    environment = {"CHATD_DATA__DIR": str(tmp_path), "CHATD_AUTH__ALGORITHM": "RS256", "CHATD_AUTH__JWKS": "keys.json"}
    config = ensure_secrets(load(None, environment).config)
    assert config.get(AuthSettings).secret == ""
    assert len(config.data.secret) >= 32


def test_a_list_may_be_a_file(tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.write_text("# not wanted\ndarn\n\n  kill yourself \n")
    path = tmp_path / "chatd.toml"
    path.write_text(f'[filters]\nwords_file = "{words}"\n[tenant_filters.acme]\naction = "mask"\n')
    config = load(path, {}).config
    assert config.get(FilterSettings).words == ["darn", "kill yourself"]
    assert config.named(FilterSettings)["acme"].action == "mask"


def test_choice_accepts_only_listed_values(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"filters.links = 'some'"):
        load(None, {"CHATD_FILTERS__LINKS": "some"})


# Values that some setting cannot have: of every type, at every edge, and with what a terminal or a shell obeys.
BAD = [
    "", " ", "x", "-1", "0", "1", "1.5", "1e400", "nan", "-inf", str(10**30), "true", "[]", "[1]", '["x", 2]', "[", "{}",
    "1979-05-27", "*", "null", "a\x00b", "a\nb", "\x1b[31m", "\udc80", "http://", "https://a/b", "HTTPS://A", "http://a:99999",
    "http://a:0", "://", "[::1", "10.0.0.1/33", "999.1.1.1", "a..b", "verbose", "none", "/../..", "no slash", "x" * 500, '"',
    "'", '"x', "\u202e", "postgresql://u:p/w@h/d", "redis://h:x", "[" * 5000, "'a\nb'",
]  # fmt: skip


# Values that leave a daemon nobody can use, open it to others than were meant, or do nothing at all.
USELESS = [
    *(f"{key}=" for key in ("gateway.host", "http.host", "gateway.path", "data.dir", "redis.prefix", "redis.stream_key")),
    *(f"gateway.path={path}" for path in ("/v1/../ws", "/./ws", "/..", "/v1//ws")), "gateway.host=*", "uploads.s3_region=",
    *(f"gateway.{key}={value}" for key in ("heartbeat", "handshake_timeout", "stall_timeout") for value in ("0", "1e-9")),
    "http.answer_timeout=0", "http.body_timeout=0.0", "postgres.timeout=0", "message_log.deadline=0", "uploads.timeout=0",
    "match.longest=0", "hook.timeout=0", "auth.access_ttl=0", "auth.access_ttl=0.5", "auth.refresh_ttl=0", "auth.ticket_ttl=0.9",
    "http.public_url=https://a.test/?x=y", "http.public_url=https://a.test/#x", "uploads.s3_endpoint=https://s3.test?region=x",
]  # fmt: skip


@pytest.mark.parametrize("setting", USELESS)
def test_useless_values_are_refused(setting: str) -> None:
    """An empty variable is no request for the wildcard address."""
    key, _, value = setting.partition("=")
    with pytest.raises(ConfigError, match=re.escape(f"{key} = ")):
        load(None, {variable_of(key): value})


@pytest.mark.parametrize(
    "url",
    [
        "redis://h/0?foo=bar", "redis://h/x", "redis://h/-1", "redis://h/0/1", "redis://h/0?db=x", "rediss://h/0?ssl_cert_reqs=foo",
        "redis://h/0?ssl_cert_reqs=none", "unix:///s?foo=bar", "redis://h?socket_timeout=abc",
    ],
)  # fmt: skip
def test_an_address_of_redis_with_an_unknown_option_is_refused_before_the_start(url: str) -> None:
    found = [line for line in faults(load(None, {"CHATD_REDIS__URL": url}).config) if "redis.url is not valid" in line]
    assert len(found) == 1


def test_unknown_sections_are_reported(tmp_path: Path) -> None:
    secret = f'secret = "{"s" * 32}"'
    path = tmp_path / "chatd.toml"
    path.write_text(
        f'[auth]\n{secret}\n[tenants.default]\n{secret}\n[tenants.good]\n{secret}\n[tenant_filters.acme]\nlinks = "none"\n'
        '[tenant_filters.good]\nlinks = "none"\n[queues."A B"]\nsize = 2\n[queues."x\\u001b"]\nsize = 2\n'
        "[queues.good]\nsize = 2\n"
    )
    message = "; ".join(faults(load(path, {}).config))
    assert message.isprintable()
    assert [
        name in message for name in ("[tenants.default]", "[tenant_filters.acme]", "[queues.A B]", "[queues.x?]")
    ] == [True] * 4
    assert "good" not in message


def every_setting() -> list[str]:
    named = [f"{family}.one.{name}" for family, fields in NAMES.families.items() for name in fields]
    return [*NAMES.keys(), *named]


@pytest.mark.parametrize("key", every_setting())
def test_invalid_value_of_any_setting_is_reported_in_one_line(key: str, tmp_path: Path) -> None:
    """From a variable and from the file; what is not refused can be shown, and judged like all settings before a
    start.
    """
    section, _, name = key.rpartition(".")
    for number, value in enumerate(BAD):
        path = tmp_path / f"{number}.toml"
        path.write_text(f"[{section}]\n{name} = {toml(value.encode(errors='replace').decode())}\n")
        for source, environment in ((None, {variable_of(key): value}), *([] if number % 4 else [(path, {})])):
            try:
                loaded = load(source, environment)
            except ConfigError as error:
                line = str(error)
                assert "\n" not in line
                assert line.isprintable(), (key, value)
                assert line.startswith(key), (key, value, line)
                continue
            if not number % 4:
                assert all(line.isprintable() for _, line, _ in effective(loaded))
            assert all(line and line.isprintable() for line in faults(loaded.config)), (key, value)


@pytest.mark.parametrize("key", every_setting())
def test_variable_accepts_the_values_of_the_file(key: str, tmp_path: Path) -> None:
    """The default of every setting, and another value of its type, written as TOML."""
    section, _, name = key.rpartition(".")
    kind = NAMES.kind_of(key)
    assert kind is not None
    written = [toml(getattr(kind(), name))] if getattr(kind(), name) is not None else []
    written += {float: ["1", "1.0", "10e-1"], int: ["3", "0x10", "1_0"], bool: ["true", "false"]}.get(
        NAMES.type_of(key), []
    )
    written += ["3"] if NAMES.type_of(key) == float | None else []
    for value in written:
        path = tmp_path / "chatd.toml"
        path.write_text(f"[{section}]\n{name} = {value}\n")
        assert load(None, {variable_of(key): value}).config == load(path, {}).config, value
        assert load(None, {variable_of(key): f" {value} "}).config == load(path, {}).config, value


@pytest.mark.parametrize("key", every_setting())
def test_misspelled_variable_is_reported(key: str) -> None:
    right = variable_of(key)
    wrongs = [
        right.replace("__", "_"), right.replace("CHATD_", "CHATD__"), right.lower(), right.replace("__", "-"),
        right.replace("_", ""), right[:-2] + right[-1],
    ]  # fmt: skip
    for wrong in (wrongs[0], wrongs[1 + len(key) % 5]):
        if wrong == right:
            continue
        with pytest.raises(ConfigError) as caught:
            load(None, {wrong: "hunter2"})
        assert "hunter2" not in str(caught.value) or not NAMES.is_secret(key), str(caught.value)
        assert "CHATD_" in str(caught.value).partition("did you mean")[2]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("CHATD_POSTGRES_URL", "CHATD_POSTGRES__DSN"),
        ("CHATD_POSTGRES_URI", "CHATD_POSTGRES__DSN"),
        ("CHATD_DATABASE_URL", "CHATD_POSTGRES__DSN"),
        ("CHATD_REDIS_DSN", "CHATD_REDIS__URL"),
        ("CHATD_HTTP_LISTEN", "CHATD_HTTP__"),
        ("CHATD_LOG_VERBOSE", "CHATD_LOG__"),
        ("CHATD_GATEWAY_MAX_SIZE", "CHATD_GATEWAY__"),
    ],
)
def test_variable_that_begins_with_a_section_counts_as_misspelled(wrong: str, right: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean {right}"):
        load(None, {wrong: "x"})


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("CHATD_SECRET", "CHATD_DATA__SECRET or CHATD_AUTH__SECRET"),
        ("CHATD_DSN", "CHATD_POSTGRES__DSN"),
        ("CHATD_S3_SECRET", "CHATD_UPLOADS__S3_SECRET"),
        ("CHATD_PORT", "CHATD_GATEWAY__PORT or CHATD_HTTP__PORT"),
        ("CHATD_HOST", "CHATD_GATEWAY__HOST"),
        ("chatd_origins", "CHATD_GATEWAY__ORIGINS"),
        ("CHATD_TRUSTED_PROXIES", "CHATD_GATEWAY__TRUSTED_PROXIES"),
        ("CHATD_REDIS", "CHATD_REDIS__URL"),
        ("CHATD_POSTGRES", "CHATD_POSTGRES__DSN"),
        ("CHATD_LOG", "CHATD_LOG__LEVEL"),
        ("CHATD_DATA", "CHATD_DATA__DIR"),
        ("CHATD_QUEUES", "CHATD_QUEUES__NAME__SIZE"),
        ("CHATD_TENANTS", "CHATD_TENANTS__NAME__SECRET"),
        ("CHATD_POSTGRES__PASSWORD", "CHATD_POSTGRES__DSN"),
        ("CHATD_POSTGRES__URL", "CHATD_POSTGRES__DSN"),
        ("CHATD_REDIS__URI", "CHATD_REDIS__URL"),
        ("CHATD_TENANT__ACME__SECRET", "CHATD_TENANTS__ACME__SECRET"),
        ("CHATD_ADMIN__ANN__TOKEN", "CHATD_ADMINS__ANN__TOKEN"),
        ("CHATD_ADMINS__TOKEN", "CHATD_ADMINS__NAME__TOKEN"),
        ("CHATD_ADMINS__ANN", "CHATD_ADMINS__ANN__TOKEN"),
        ("CHATD_QUEUE__TRIOS__SIZE", "CHATD_QUEUES__TRIOS__SIZE"),
        ("CHATD_QUEUES__TRIOS_SIZE", "CHATD_QUEUES__TRIOS__SIZE"),
        ("CHATD_QUEUES__TRIOS__SIZES", "CHATD_QUEUES__TRIOS__SIZE"),
        ("CHATD_QUEUES____SIZE", "CHATD_QUEUES__NAME__SIZE"),
        ("CHATD_TENANT_FILTERS__ACME_WORDS_FILE", "CHATD_TENANT_FILTERS__ACME__WORDS_FILE"),
        ("CHATD_TENANTS__ACME__RETENTION__DAYS", "CHATD_TENANTS__ACME__RETENTION_DAYS"),
        ("CHATD_GATEWAY__ADMIN_HOSTS", "CHATD_HTTP__ADMIN_HOSTS"),
    ],
)
def test_misspelled_variable_gets_a_suggestion(wrong: str, right: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {wrong: "hunter2-hunter2"})
    line = str(caught.value)
    assert right in line
    assert wrong in line
    assert "hunter2" not in line or not any(word in right for word in ("SECRET", "TOKEN", "DSN", "URL"))


@pytest.mark.parametrize(
    "wrong", ["POSTGRES__SSL", "AUTH__TOKEN", "GATEWAY__SECRET", "AUTH__PASSWORD", "DRAIN__TOKEN", "UPLOADS__URL"]
)
def test_suggestion_for_a_misspelled_variable_stays_in_its_section(wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {f"CHATD_{wrong}": "hunter2"})
    meant = str(caught.value).partition("did you mean ")[2]
    assert meant.split(".")[0] in ("", wrong.split("__")[0].lower())


def test_named_section_without_a_name_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "chatd.toml"
    for family, fields in NAMES.families.items():
        path.write_text(f'[{family}.""]\n')
        load(path, {})
        path.write_text(f'[{family}.""]\n{next(iter(fields))} = 3\n')
        with pytest.raises(ConfigError, match=f"did you mean {family}.NAME"):
            load(path, {})


def test_empty_file_name_counts_as_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(None, {"CHATD_CONFIG": ""}).path is None
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chatd.toml").touch()
    assert load(None, {"CHATD_CONFIG": ""}).path == load(None, {}).path == Path("chatd.toml")


def test_unrelated_variables_are_ignored() -> None:
    """What Kubernetes and Docker give beside a service called chatd, or redis."""
    load(None, {
        "CHATD_SERVICE_HOST": "10.0.0.1", "CHATD_SERVICE_PORT": "8080", "CHATD_PORT": "tcp://10.0.0.1:8080", "CHATD_HTTP_PORT": "tcp://10.0.0.1:8081",
        "CHATD_PORT_8080_TCP_ADDR": "10.0.0.1", "CHATD_REDIS_SERVICE_HOST": "10.0.0.2", "CHATD_REDIS_PORT": "tcp://10.0.0.2:6379",
        "CHATD_VERSION": "1", "CHATD_URL": "http://chatd", "CHATD_TOKEN": "x", "CHATD_WORKERS": "4", "PATH": "/bin",
    })  # fmt: skip
    for wrong in ("CHATD_CONFIG_FILE", "CHATD_CONFIGURATION", "chatd_config"):
        with pytest.raises(ConfigError, match="did you mean CHATD_CONFIG"):
            load(None, {wrong: "x"})


@pytest.mark.parametrize(
    "text",
    [
        "https://a.test, http://b.test:81",
        '["https://a.test", "http://b.test:81"]',
        "['https://a.test','http://b.test:81',]",
    ],
)
def test_a_list_can_be_set_in_a_variable(text: str) -> None:
    assert load(None, {"CHATD_GATEWAY__ORIGINS": text}).config.gateway.origins == ["https://a.test", "http://b.test:81"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://a.test/",
        "https://a.test/x",
        "a.test",
        "https://A.test",
        "https://a.test:443",
        "null",
        "https://",
        "https://u@a.test",
        "[x",
        "",
    ],
)
def test_origin_must_have_the_form_of_browsers(origin: str) -> None:
    with pytest.raises(ConfigError, match=r"gateway\.origins"):
        load(None, {"CHATD_GATEWAY__ORIGINS": toml([origin])})


def test_unsafe_settings_cause_warnings(tmp_path: Path) -> None:
    secret, path = tmp_path / "secret", tmp_path / "chatd.toml"
    for file, text in ((secret, SECRET), (path, f"[hook]\nsecret = '{SECRET}'\n")):
        file.write_text(text)
        file.chmod(0o640)
    environment = {
        "CHATD_AUTH__SECRET_FILE": str(secret),
        "CHATD_GATEWAY__ORIGINS": "*",
        "CHATD_HTTP__CORS_ORIGINS": "*",
    }
    messages = load(path, environment).warnings
    assert [
        word
        for word in (str(secret), str(path), "gateway.origins", "http.cors_origins")
        if not any(word in line for line in messages)
    ] == []
    secret.chmod(0o600)
    path.chmod(0o600)
    assert load(path, {"CHATD_AUTH__SECRET_FILE": str(secret)}).warnings == []


def test_settings_are_found_by_their_class() -> None:
    config = (
        Config().using(AuthSettings(secret=SECRET)).using_named(TenantSettings, {"acme": TenantSettings(issuer="i")})
    )
    assert (config.get(AuthSettings).secret, config.get(FilterSettings)) == (SECRET, FilterSettings())
    assert (config.named(TenantSettings)["acme"].issuer, config.named(FilterSettings)) == ("i", {})
    with pytest.raises(TypeError, match=r"using\(Limits\)"):
        config.using(Limits(text_bytes=1))


def test_a_setting_is_declared_once() -> None:
    names = SettingNames([Settings("auth", AuthSettings), Settings("auth", FilterSettings)])
    assert (names.kind_of("auth.secret"), names.kind_of("auth.words")) == (AuthSettings, FilterSettings)
    with pytest.raises(ValueError, match=r"auth\.\w+ is declared twice"):
        SettingNames([Settings("auth", AuthSettings), Settings("auth", TenantSettings)])
    with pytest.raises(ValueError, match="limits"):
        SettingNames([NamedSettings("limits", AuthSettings)])
