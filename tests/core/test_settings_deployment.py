"""Settings: which of them may go together, once the issuer and the address to listen on are known."""

import pytest

from oauth_server.core.hosts import is_loopback_host
from oauth_server.core.settings import SettingsError, check_deployment, load, resolve_issuer

SAMPLE_SECRET = "mcp_secret_key_change_in_production_2024"

# The documentation's compose block, as YAML's list form hands it to the process.
COMPOSE = {
    "ENABLE_MCP_OAUTH": "true",
    "MCP_OAUTH_REQUIRE_AUTH": "true",
    "MCP_OAUTH_AUTHORIZATION_SERVER": "http://mcp-server:8000",
    "MCP_OAUTH_ISSUER": "http://mcp-server:8000",
    "MCP_OAUTH_RESOURCE_URI": "http://mcp-server:8000",
    "MCP_OAUTH_CLIENT_ID": "mcp-docker-server-default",
    "MCP_OAUTH_CLIENT_SECRET": SAMPLE_SECRET,
    "MCP_OAUTH_CLIENT_NAME": '"MCP Docker Dev Server"',
    "MCP_OAUTH_TOKEN_EXPIRY": "3600",
    "MCP_OAUTH_SCOPE": "mcp:read mcp:write mcp:admin",
    "MCP_OAUTH_REQUIRE_HTTPS": "false",
    "MCP_OAUTH_DYNAMIC_REGISTRATION": "true",
    "MCP_OAUTH_ENABLE_PKCE": "true",
}


def deployment_refusal(environ: dict[str, str], issuer: str | None = None, host: str = "127.0.0.1") -> SettingsError:
    settings = load(environ)
    with pytest.raises(SettingsError) as caught:
        check_deployment(settings, issuer or resolve_issuer(settings, 8000), host)
    return caught.value


def warnings_of(environ: dict[str, str], issuer: str | None = None, host: str = "127.0.0.1") -> list[str]:
    settings = load(environ)
    return check_deployment(settings, issuer or resolve_issuer(settings, 8000), host)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LocalHost", True),
        ("127.0.0.1", True),
        ("127.255.0.3", True),
        ("::1", True),
        ("[::1]", True),
        ("0:0:0:0:0:0:0:1", True),
        ("app.localhost", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("127.1", False),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("::ffff:127.0.0.1", False),
        ("128.0.0.1", False),
        ("", False),
    ],
)
def test_is_loopback_host(host: str, loopback: bool) -> None:
    assert is_loopback_host(host) is loopback


@pytest.mark.parametrize(
    ("environ", "port", "issuer"),
    [
        ({}, 8000, "http://localhost:8000"),
        ({}, 80, "http://localhost"),
        ({"MCP_OAUTH_ISSUER": "https://a.example/"}, 8000, "https://a.example"),
    ],
)
def test_resolve_issuer(environ: dict[str, str], port: int, issuer: str) -> None:
    assert resolve_issuer(load(environ), port) == issuer


def test_the_defaults_run_without_a_warning() -> None:
    assert warnings_of({}) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104
def test_the_documented_compose_block_runs_with_its_warnings(host: str) -> None:
    settings = load(COMPOSE)
    assert settings.client_name == "MCP Docker Dev Server"
    assert resolve_issuer(settings, 8000) == "http://mcp-server:8000"
    https, secret = check_deployment(settings, "http://mcp-server:8000", host)
    assert https.startswith("MCP_OAUTH_REQUIRE_HTTPS=false")
    assert https.count("http://mcp-server:8000") == 1
    assert secret.startswith("MCP_OAUTH_CLIENT_SECRET")
    assert SAMPLE_SECRET not in secret


HTTPS = "https://auth.example.com"
REMOTE = "http://auth.example.com"


@pytest.mark.parametrize("issuer", [HTTPS, "http://localhost:8000", "http://127.0.0.2:8000", "http://[::1]:8000"])
@pytest.mark.parametrize("require", ["", "false"])
def test_issuers_that_need_no_leave(issuer: str, require: str) -> None:
    assert warnings_of({"MCP_OAUTH_ISSUER": issuer, "MCP_OAUTH_REQUIRE_HTTPS": require}) == []


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"MCP_OAUTH_ISSUER": REMOTE}, "MCP_OAUTH_ISSUER"),
        ({"MCP_OAUTH_ISSUER": "http://0.0.0.0:8000"}, "MCP_OAUTH_ISSUER"),
        ({"MCP_OAUTH_ISSUER": "http://localhost:8000", "MCP_OAUTH_REQUIRE_HTTPS": "true"}, "MCP_OAUTH_ISSUER"),
        ({"MCP_OAUTH_REQUIRE_HTTPS": "true"}, "MCP_OAUTH_ISSUER"),
        ({"MCP_OAUTH_ISSUER": HTTPS, "MCP_OAUTH_RESOURCE_URI": f"{HTTPS} {REMOTE}/mcp"}, "MCP_OAUTH_RESOURCE_URI"),
        (
            {
                "MCP_OAUTH_ISSUER": HTTPS,
                "MCP_OAUTH_RESOURCE_URI": "http://localhost/mcp",
                "MCP_OAUTH_REQUIRE_HTTPS": "true",
            },
            "MCP_OAUTH_RESOURCE_URI",
        ),
    ],
)
def test_plain_http_is_for_loopback(environ: dict[str, str], name: str) -> None:
    assert deployment_refusal(environ).name == name


def test_plain_http_elsewhere_is_allowed_with_one_warning() -> None:
    environ = {"MCP_OAUTH_ISSUER": REMOTE, "MCP_OAUTH_RESOURCE_URI": "http://rs.example/mcp"}
    (warning,) = warnings_of(environ | {"MCP_OAUTH_REQUIRE_HTTPS": "false"})
    assert REMOTE in warning
    assert "http://rs.example/mcp" in warning


def test_https_required_and_given() -> None:
    assert warnings_of({"MCP_OAUTH_ISSUER": HTTPS, "MCP_OAUTH_REQUIRE_HTTPS": "true"}) == []


OPEN = [
    ("ENABLE_MCP_OAUTH", "false", False),
    ("MCP_OAUTH_REQUIRE_AUTH", "false", True),
    ("MCP_OAUTH_AUTO_APPROVE", "alice", True),
]


@pytest.mark.parametrize(("name", "value", "needs_issuer"), OPEN)
def test_open_settings_on_this_machine_only(name: str, value: str, needs_issuer: bool) -> None:
    assert warnings_of({name: value}) == []
    assert deployment_refusal({name: value}, host="0.0.0.0").name == name  # noqa: S104
    insecure = {name: value, "MCP_OAUTH_INSECURE_BIND": "true"}
    assert warnings_of(insecure) == []
    (warning,) = warnings_of(insecure, host="0.0.0.0")  # noqa: S104
    assert warning.startswith(name)
    assert "0.0.0.0" in warning  # noqa: S104
    if needs_issuer:
        for environ in ({name: value}, insecure):
            assert deployment_refusal(environ, issuer=HTTPS).name == name
    else:
        assert warnings_of({name: value}, issuer=HTTPS) == []


def test_each_open_setting_warns() -> None:
    environ = {name: value for name, value, _ in OPEN} | {"MCP_OAUTH_INSECURE_BIND": "true"}
    assert [text.split()[0] for text in warnings_of(environ, host="::")] == [name for name, _, _ in OPEN]


@pytest.mark.requirement("regression-10")
@pytest.mark.parametrize(
    ("issuer", "allowed"),
    [
        ("http://localhost:8000", True),
        ("http://127.0.0.1:8000", True),
        ("https://[::1]:8000", True),
        ("https://mcp-server:8000", True),
        (HTTPS, False),
        ("https://192.0.2.1", False),
        ("https://[2001:db8::1]", False),
        ("https://app.localhost", False),
    ],
)
def test_the_documented_sample_secret(issuer: str, allowed: bool) -> None:
    environ = {"MCP_OAUTH_CLIENT_SECRET": SAMPLE_SECRET, "MCP_OAUTH_ISSUER": issuer}
    if allowed:
        (text,) = warnings_of(environ)
        assert text.startswith("MCP_OAUTH_CLIENT_SECRET")
    else:
        error = deployment_refusal(environ)
        assert error.name == "MCP_OAUTH_CLIENT_SECRET"
        text = str(error)
    assert SAMPLE_SECRET not in text


def test_a_secret_of_ones_own_needs_no_warning() -> None:
    assert warnings_of({"MCP_OAUTH_CLIENT_SECRET": SAMPLE_SECRET[:-1] + "5", "MCP_OAUTH_ISSUER": HTTPS}) == []


def test_the_authorization_server_is_the_issuer() -> None:
    same = {"MCP_OAUTH_ISSUER": HTTPS, "MCP_OAUTH_AUTHORIZATION_SERVER": "HTTPS://auth.example.com:443/"}
    assert warnings_of(same) == []
    with pytest.raises(SettingsError, match=r"^MCP_OAUTH_AUTHORIZATION_SERVER: .* for now"):
        load(same | {"MCP_OAUTH_AUTHORIZATION_SERVER": "https://other.example"})


def test_the_authorization_server_is_the_default_issuer() -> None:
    environ = {"MCP_OAUTH_AUTHORIZATION_SERVER": "http://localhost:8000"}
    assert warnings_of(environ) == []
    assert deployment_refusal(environ, issuer="http://localhost:9").name == "MCP_OAUTH_AUTHORIZATION_SERVER"


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("0123456789abcdef", ["fewer than 32"]),
        ("0123456789abcdef" * 2, []),
        ("0123456789abcde" * 2 + "a", ["fewer than 32"]),
        ("A-z_0.9*~" * 4, []),
        ("a+b" * 11, ["encode"]),
        ("100%" * 8, ["encode"]),
        ("a secret with blanks and more of them", ["encode"]),
        ("short, with %", None),
        ("sixteen+ of them", ["fewer than 32", "encode"]),
    ],
)
def test_a_configured_secret_is_long_and_needs_no_encoding_or_the_server_says_so(
    secret: str, said: list[str] | None
) -> None:
    if said is None:
        with pytest.raises(SettingsError, match="MCP_OAUTH_CLIENT_SECRET"):
            load({"MCP_OAUTH_CLIENT_SECRET": secret})
        return
    warnings = warnings_of({"MCP_OAUTH_CLIENT_SECRET": secret})
    assert len(warnings) == len(said), warnings
    for warning, words in zip(warnings, said, strict=True):
        assert warning.startswith("MCP_OAUTH_CLIENT_SECRET ")
        assert words in warning
        assert secret not in warning


def test_an_id_that_needs_encoding_is_told_where_it_is_sent_with_a_secret() -> None:
    assert warnings_of({"MCP_OAUTH_CLIENT_ID": "my client: the first"}) == []
    (warning,) = warnings_of({"MCP_OAUTH_CLIENT_ID": "my client: the first", "MCP_OAUTH_CLIENT_SECRET": "a1" * 16})
    assert warning.startswith("MCP_OAUTH_CLIENT_ID ")
