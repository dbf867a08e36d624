"""Settings: where they are read from, which names there are, and what people are shown."""

import pickle
import subprocess
import sys
from pathlib import Path

import pydantic
import pytest

from oauth_server.core.settings import ENV_NAMES, SettingsError, load

ATTRIBUTES = {name: attribute for attribute, name in ENV_NAMES.items()}


def refusal(environ: dict[str, str], **options: object) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load(environ, **options)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).isprintable()
    return caught.value


# Quotes, files, options, origins


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ('"A B"', "A B"),
        ("'A B'", "A B"),
        (' "A B" ', "A B"),
        ("\"'A'\"", "'A'"),
        ("\"A'", "\"A'"),
        ('"', '"'),
        ('A "B"', 'A "B"'),
    ],
)
def test_one_pair_of_matching_quotes_is_stripped(value: str, name: str) -> None:
    assert load({"MCP_OAUTH_CLIENT_NAME": value}).client_name == name


SECRETS = [
    ("MCP_OAUTH_CLIENT_SECRET", "a client secret of 32 characters"),
    ("MCP_OAUTH_ADMIN_PASSWORD", '"correct horse" battery "staple"'),
    ("MCP_OAUTH_DATABASE_URL", "postgresql://u:sesame@h/db"),
    ("MCP_OAUTH_KEY_ENCRYPTION_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
]


@pytest.mark.parametrize(("name", "secret"), SECRETS)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_secret_from_a_file(tmp_path: Path, name: str, secret: str, end: str) -> None:
    path = tmp_path / "secret"
    path.write_text(secret + end, newline="")
    settings = load({f"{name}_FILE": f'"{path}"', name: ""})
    value = getattr(settings, ATTRIBUTES[name])
    assert (value.get_secret_value() if isinstance(value, pydantic.SecretStr) else value) == secret
    assert settings.origins[name] == "file"


@pytest.mark.parametrize(("name", "secret"), SECRETS)
def test_secret_given_twice(tmp_path: Path, name: str, secret: str) -> None:
    error = refusal({name: secret, f"{name}_FILE": str(tmp_path / "absent")})
    assert error.name == name
    assert f"{name}_FILE" in str(error)
    assert secret not in str(error)


@pytest.mark.parametrize(("name", "secret"), SECRETS)
@pytest.mark.parametrize("content", [None, b"", b"\n", b" \n", b"\xff\xfe", b"x" * 65537], ids=repr)
def test_secret_file_that_cannot_be_used(tmp_path: Path, name: str, secret: str, content: bytes | None) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    assert refusal({f"{name}_FILE": str(path)}).name == f"{name}_FILE"


@pytest.mark.parametrize("path", [".", "swordfish-given-as-path", "nul\0byte", "\ud800"])
def test_secret_file_that_is_none(path: str) -> None:
    error = refusal({"MCP_OAUTH_ADMIN_PASSWORD_FILE": path})
    assert error.name == "MCP_OAUTH_ADMIN_PASSWORD_FILE"
    assert "swordfish" not in str(error)


def test_only_one_newline_of_a_file_is_stripped(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("a password of two lines\n\n")
    assert refusal({"MCP_OAUTH_ADMIN_PASSWORD_FILE": str(path)}).name == "MCP_OAUTH_ADMIN_PASSWORD"


@pytest.mark.parametrize("value", [" ", "\t\n", '" "', "'  '"])
@pytest.mark.parametrize(("name", "secret"), SECRETS)
def test_a_secret_of_blanks_is_a_mistake_and_never_none(name: str, secret: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: it has blanks only"):
        load({name: value})


def test_only_secrets_come_from_files() -> None:
    assert refusal({"MCP_OAUTH_ISSUER_FILE": "x"}).name == "MCP_OAUTH_ISSUER_FILE"


def test_options_go_before_the_environment() -> None:
    environ = {"MCP_TRANSPORT": "stdio", "MCP_HOST": "0.0.0.0", "MCP_PORT": "x", "MCP_WORKERS": "3"}  # noqa: S104
    settings = load(environ, transport="http", host="::1", port=0, workers=2)
    assert (settings.transport, settings.host, settings.port, settings.workers) == ("http", "::1", 0, 2)
    assert {settings.origins[name] for name in environ} == {"option"}


def test_options_that_are_not_given_leave_the_environment() -> None:
    settings = load({"MCP_PORT": "9000"}, transport=None, host=None, port=None, workers=None)
    assert settings.port == 9000
    assert settings.origins["MCP_PORT"] == "environment"
    assert settings.origins["MCP_HOST"] == "default"
    assert list(settings.origins) == list(ENV_NAMES.values())


@pytest.mark.parametrize(
    ("option", "value"), [("transport", "sse"), ("host", ""), ("port", 65536), ("port", -1), ("workers", 0)]
)
def test_a_bad_option_is_named_as_one(option: str, value: object) -> None:
    assert refusal({}, **{option: value}).name == f"--{option}"


def test_the_process_environment_is_read_only_when_no_other_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_PORT", "9001")
    assert load().port == 9001
    assert load({}).port == 8000


def test_no_dotenv_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("MCP_PORT=9002\n")
    monkeypatch.chdir(tmp_path)
    assert load().port == 8000


def test_settings_are_frozen_comparable_and_travel_to_workers() -> None:
    environ = {"MCP_OAUTH_CLIENT_SECRET": "a client secret of 32 characters", "MCP_OAUTH_SCOPE": "mcp:read"}
    settings = load(environ)
    with pytest.raises(pydantic.ValidationError):
        settings.port = 1
    assert settings == load(environ)
    assert pickle.loads(pickle.dumps(settings)).shown() == settings.shown()  # noqa: S301


def test_importing_is_cheap() -> None:
    code = "import sys, oauth_server.core.settings; print({'sqlalchemy', 'fastmcp', 'mcp'} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


# Names


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MCP_OAUTH_ISUER", "MCP_OAUTH_ISSUER"),
        ("MCP_OAUTH_ENABLED", "ENABLE_MCP_OAUTH"),
        ("MCP_OAUTH_PORT", "MCP_PORT"),
        ("MCP_OAUTH_CLIENT_SECRETS_FILE", "MCP_OAUTH_CLIENT_SECRET_FILE"),
        ("MCP_OAUTH_SCOPES", "MCP_OAUTH_SCOPE"),
        ("MCP_OAUTH_XYZZY", None),
        ("MCP_OAUTH_", None),
        ("MCP_OAUTH_ISSUER\n", "MCP_OAUTH_ISSUER"),
    ],
)
@pytest.mark.parametrize("value", ["8000", ""])
def test_unknown_name(name: str, meant: str | None, value: str) -> None:
    error = refusal({name: value})
    assert error.name == name
    assert (f"did you mean {meant}?" in str(error)) if meant else ("did you mean" not in str(error))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MCP_OAUTH_SERVICE_HOST", "10.0.0.1"),
        ("MCP_OAUTH_SERVICE_PORT", "8000"),
        ("MCP_OAUTH_SERVICE_PORT_HTTP", "8000"),
        ("MCP_OAUTH_PORT", "tcp://10.0.0.1:8000"),
        ("MCP_OAUTH_PORT", "udp://10.0.0.1:8000"),
        ("MCP_OAUTH_PORT_8000_TCP", "tcp://10.0.0.1:8000"),
        ("MCP_OAUTH_PORT_8000_TCP_PROTO", "tcp"),
        ("MCP_OAUTH_PORT_8000_TCP_PORT", "8000"),
        ("MCP_OAUTH_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("MCP_OAUTH_SERVER_SERVICE_HOST", "10.0.0.1"),
        ("MCP_OAUTH_SERVER_PORT", "tcp://10.0.0.1:8000"),
        ("MCP_OAUTH_SERVER_PORT_53_UDP_ADDR", "10.0.0.1"),
        ("MCP_SERVER_URL", "https://other.example"),
        ("MCP_OAUTH", "x"),
        ("PATH", "/bin"),
    ],
)
def test_names_of_others_are_left_alone(name: str, value: str) -> None:
    assert load({name: value}) == load({})


# What people are shown


def test_shown_is_by_environment_name_and_without_secrets() -> None:
    environ = {
        "MCP_OAUTH_CLIENT_SECRET": "sesame-sesame-sesame",
        "MCP_OAUTH_ADMIN_PASSWORD": "sesame-sesame",
        "MCP_OAUTH_DATABASE_URL": "postgresql://u:sesame@h/db?sslpassword=sesame&password=sesame&x=1",
    }
    settings = load(environ)
    shown = settings.shown()
    assert list(shown) == list(ENV_NAMES.values())
    assert shown["MCP_OAUTH_CLIENT_SECRET"] == shown["MCP_OAUTH_ADMIN_PASSWORD"] == "set"
    assert shown["MCP_OAUTH_DATABASE_URL"] == "postgresql://u:***@h/db?sslpassword=***&password=***&x=1"
    assert shown["MCP_OAUTH_SCOPE"] == ["mcp:read", "mcp:write", "mcp:admin"]
    assert "sesame" not in f"{settings!r} {settings} {shown}"


def test_shown_without_secrets_given() -> None:
    shown = load({}).shown()
    assert shown["MCP_OAUTH_CLIENT_SECRET"] == shown["MCP_OAUTH_ADMIN_PASSWORD"] == "not set"
    assert shown["MCP_OAUTH_DATABASE_URL"] == load({}).database_url
    assert shown["MCP_OAUTH_ISSUER"] is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:a:b@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:a@b@h/db", "postgresql://u:***@h/db"),
        ("postgresql://:pw@h/db", "postgresql://:***@h/db"),
        ("postgresql://u@h:5432/db", "postgresql://u@h:5432/db"),
        ("postgres://h/db?PASSWORD=pw", "postgres://h/db?PASSWORD=***"),
        ("sqlite:////data/a:b@c.db", "sqlite:////data/a:b@c.db"),
    ],
)
def test_password_inside_a_database_url(url: str, shown: str) -> None:
    assert load({"MCP_OAUTH_DATABASE_URL": url}).shown()["MCP_OAUTH_DATABASE_URL"] == shown
