"""Settings: what each value may be, what is refused and how it is explained."""

from pathlib import Path

import hypothesis
import platformdirs
import pydantic
import pytest
from hypothesis import strategies as st

from oauth_server.core.settings import ENV_NAMES, Settings, SettingsError, check_deployment, load, resolve_issuer

DEFAULT_DATABASE = f"sqlite:///{Path(platformdirs.user_data_dir('mcp-docker-server')).as_posix()}/oauth.db"

DEFAULTS = {
    "ENABLE_MCP_OAUTH": True,
    "MCP_OAUTH_REQUIRE_AUTH": True,
    "MCP_OAUTH_AUTO_APPROVE": "",
    "MCP_OAUTH_INSECURE_BIND": False,
    "MCP_OAUTH_ISSUER": None,
    "MCP_OAUTH_AUTHORIZATION_SERVER": None,
    "MCP_OAUTH_RESOURCE_URI": (),
    "MCP_OAUTH_CLIENT_ID": "mcp-docker-server-default",
    "MCP_OAUTH_CLIENT_SECRET": None,
    "MCP_OAUTH_CLIENT_NAME": "MCP Docker Dev Server",
    "MCP_OAUTH_CLIENT_REDIRECT_URIS": (
        "http://localhost/callback",
        "http://127.0.0.1/callback",
        "http://[::1]/callback",
    ),
    "MCP_OAUTH_TOKEN_EXPIRY": 3600,
    "MCP_OAUTH_REFRESH_TOKEN_EXPIRY": 2_592_000,
    "MCP_OAUTH_REFRESH_TOKEN_MAX_AGE": 15_552_000,
    "MCP_OAUTH_REFRESH_GRACE": 30,
    "MCP_OAUTH_SCOPE": ("mcp:read", "mcp:write", "mcp:admin"),
    "MCP_OAUTH_REQUIRE_HTTPS": None,
    "MCP_OAUTH_DYNAMIC_REGISTRATION": True,
    "MCP_OAUTH_ENABLE_PKCE": True,
    "MCP_OAUTH_ALLOW_ORIGINS": (),
    "MCP_OAUTH_TRUSTED_PROXIES": (),
    "MCP_OAUTH_DATABASE_URL": DEFAULT_DATABASE,
    "MCP_OAUTH_SIGNING_ALG": "ES256",
    "MCP_OAUTH_KEY_ROTATION_DAYS": 90,
    "MCP_OAUTH_AUDIT_RETENTION_DAYS": 365,
    "MCP_OAUTH_KEY_ENCRYPTION_KEY": None,
    "MCP_OAUTH_ADMIN_USERNAME": "admin",
    "MCP_OAUTH_ADMIN_PASSWORD": None,
    "MCP_OAUTH_CIMD": "open",
    "MCP_OAUTH_CIMD_HOSTS": (),
    "MCP_OAUTH_CHECK_HOSTS": (),
    "MCP_OAUTH_PRIVATE_USE_REDIRECT_URIS": (),
    "MCP_TRANSPORT": "http",
    "MCP_HOST": "127.0.0.1",
    "MCP_PORT": 8000,
    "MCP_WORKERS": 1,
    "MCP_KEEP_ALIVE": 180,
    "MCP_LOG_LEVEL": "info",
    "MCP_LOG_FORMAT": "text",
    "MCP_METRICS_HOST": "127.0.0.1",
    "MCP_METRICS_PORT": None,
}
ENCRYPTION_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
ATTRIBUTES = {name: attribute for attribute, name in ENV_NAMES.items()}

FLAGS = ["ENABLE_MCP_OAUTH", "MCP_OAUTH_REQUIRE_AUTH", "MCP_OAUTH_INSECURE_BIND", "MCP_OAUTH_REQUIRE_HTTPS"]
FLAGS += ["MCP_OAUTH_DYNAMIC_REGISTRATION"]
ISSUERS = ["MCP_OAUTH_ISSUER", "MCP_OAUTH_AUTHORIZATION_SERVER"]

ACCEPTED = [
    *((name, "FALSE", False) for name in FLAGS),
    *(
        (name, word, word.lower() in {"true", "1", "yes", "on"})
        for name in FLAGS
        for word in ["0", "1", "no", "Yes", "off", "On"]
    ),
    ("MCP_OAUTH_ISSUER", "HTTPS://Auth.Example.COM:443/", "https://auth.example.com"),
    ("MCP_OAUTH_AUTHORIZATION_SERVER", "http://LOCALHOST:80", "http://localhost"),
    ("MCP_OAUTH_ISSUER", "http://[0:0:0:0:0:0:0:1]:8000", "http://[::1]:8000"),
    ("MCP_OAUTH_ISSUER", "https://mcp_server:8443", "https://mcp_server:8443"),
    ("MCP_OAUTH_ISSUER", "https://auth.example.com:", "https://auth.example.com"),
    ("MCP_OAUTH_AUTO_APPROVE", "alice", "alice"),
    ("MCP_OAUTH_RESOURCE_URI", "https://A.example/", ("https://a.example",)),
    ("MCP_OAUTH_RESOURCE_URI", "https://a.example/MCP http://B:80/x/", ("https://a.example/MCP", "http://b/x/")),
    ("MCP_OAUTH_CLIENT_ID", "my client", "my client"),
    ("MCP_OAUTH_CLIENT_NAME", "Zoë's client", "Zoë's client"),
    ("MCP_OAUTH_CLIENT_REDIRECT_URIS", "https://app.example/Cb?x=1", ("https://app.example/Cb?x=1",)),
    (
        "MCP_OAUTH_CLIENT_REDIRECT_URIS",
        "http://127.9.9.9/cb http://[::1]/cb",
        ("http://127.9.9.9/cb", "http://[::1]/cb"),
    ),
    ("MCP_OAUTH_CLIENT_REDIRECT_URIS", "cursor://a.b/cb com.app:/cb", ("cursor://a.b/cb", "com.app:/cb")),
    ("MCP_OAUTH_TOKEN_EXPIRY", "60", 60),
    ("MCP_OAUTH_TOKEN_EXPIRY", "86400", 86400),
    ("MCP_OAUTH_REFRESH_TOKEN_EXPIRY", "300", 300),
    ("MCP_OAUTH_REFRESH_TOKEN_MAX_AGE", "2592000", 2_592_000),
    ("MCP_OAUTH_REFRESH_GRACE", "0", 0),
    ("MCP_OAUTH_REFRESH_GRACE", "300", 300),
    ("MCP_OAUTH_SCOPE", "mcp:read  files.read", ("mcp:read", "files.read")),
    ("MCP_OAUTH_SCOPE", "mcp:read,mcp:write, \n files.read ,", ("mcp:read", "mcp:write", "files.read")),
    ("MCP_OAUTH_ENABLE_PKCE", "yes", True),
    (
        "MCP_OAUTH_ALLOW_ORIGINS",
        "APP://obsidian.md/\napp://-,TAURI://localhost vscode-webview://0a1b-2c chrome-extension://abcdefghijklmnop",
        (
            "app://obsidian.md",
            "app://-",
            "tauri://localhost",
            "vscode-webview://0a1b-2c",
            "chrome-extension://abcdefghijklmnop",
        ),
    ),
    ("MCP_OAUTH_ALLOW_ORIGINS", "capacitor://localhost:8080", ("capacitor://localhost:8080",)),
    (
        "MCP_OAUTH_ALLOW_ORIGINS",
        "http://LOCALHOST:6274, https://b.example:443/,http://c",
        ("http://localhost:6274", "https://b.example", "http://c"),
    ),
    ("MCP_OAUTH_TRUSTED_PROXIES", "10.0.0.0/8\n192.0.2.1,2001:DB8::/32", ("10.0.0.0/8", "192.0.2.1", "2001:db8::/32")),
    ("MCP_OAUTH_DATABASE_URL", "sqlite:////data/oauth.db", "sqlite:////data/oauth.db"),
    ("MCP_OAUTH_DATABASE_URL", "sqlite:///C:/me@corp/o#1.db", "sqlite:///C:/me@corp/o#1.db"),
    ("MCP_OAUTH_DATABASE_URL", "postgresql://u:p%40@h:5432/db", "postgresql://u:p%40@h:5432/db"),
    ("MCP_OAUTH_DATABASE_URL", "postgres://h/db", "postgres://h/db"),
    ("MCP_OAUTH_CIMD", "off", "off"),
    ("MCP_OAUTH_CIMD_HOSTS", "A.example:443,\nlocalhost:8443\t[::1]:9", ("a.example", "localhost:8443", "[::1]:9")),
    # 443 stays where it is written: without it, every port of the host is admitted.
    (
        "MCP_OAUTH_CHECK_HOSTS",
        "A.example:443, a.example localhost:8443 [::1]:443",
        ("a.example:443", "a.example", "localhost:8443", "[::1]:443"),
    ),
    ("MCP_OAUTH_SIGNING_ALG", "RS256", "RS256"),
    ("MCP_OAUTH_KEY_ROTATION_DAYS", "0", 0),
    ("MCP_OAUTH_KEY_ROTATION_DAYS", "3650", 3650),
    *(
        ("MCP_OAUTH_KEY_ENCRYPTION_KEY", value, pydantic.SecretStr(value))
        for value in [
            ENCRYPTION_KEY,
            f"{ENCRYPTION_KEY}\n {ENCRYPTION_KEY}",
            f"none {ENCRYPTION_KEY}",
            f"{ENCRYPTION_KEY},{ENCRYPTION_KEY}",
            f"none,\n{ENCRYPTION_KEY},",
        ]
    ),
    ("MCP_OAUTH_AUDIT_RETENTION_DAYS", "0", 0),
    ("MCP_OAUTH_AUDIT_RETENTION_DAYS", "3650", 3650),
    ("MCP_OAUTH_ADMIN_USERNAME", "root", "root"),
    ("MCP_OAUTH_PRIVATE_USE_REDIRECT_URIS", "com.a:/x zed://y/z", ("com.a:/x", "zed://y/z")),
    (
        "MCP_OAUTH_PRIVATE_USE_REDIRECT_URIS",
        "com.a:/x,zed://y/z,\n  a://b?c=1,2\n,exp:///cb, com.b:/,",
        ("com.a:/x", "zed://y/z", "a://b?c=1,2", "exp:///cb", "com.b:/"),
    ),
    (
        "MCP_OAUTH_CLIENT_REDIRECT_URIS",
        "http://localhost/cb,http://127.0.0.1/cb,\nhttps://a.example/cb?ids=1,2 , com.app:/cb",
        ("http://localhost/cb", "http://127.0.0.1/cb", "https://a.example/cb?ids=1,2", "com.app:/cb"),
    ),
    (
        "MCP_OAUTH_RESOURCE_URI",
        "https://a.example/mcp,https://b.example\nhttps://c.example/a,b",
        ("https://a.example/mcp", "https://b.example", "https://c.example/a,b"),
    ),
    ("MCP_TRANSPORT", "stdio", "stdio"),
    ("MCP_HOST", "[::]", "::"),
    ("MCP_HOST", "0.0.0.0", "0.0.0.0"),  # noqa: S104
    ("MCP_HOST", "Server-1.local", "server-1.local"),
    ("MCP_PORT", "0", 0),
    ("MCP_LOG_FORMAT", "JSON", "json"),
    ("MCP_METRICS_HOST", "0.0.0.0", "0.0.0.0"),  # noqa: S104
    ("MCP_METRICS_PORT", "9464", 9464),
    ("MCP_PORT", "65535", 65535),
    ("MCP_PORT", "tcp://10.0.0.1:8000", 8000),
    ("MCP_METRICS_PORT", "tcp://10.0.0.1:9464", None),
    ("MCP_WORKERS", "4", 4),
    ("MCP_KEEP_ALIVE", "1", 1),
    ("MCP_KEEP_ALIVE", "3600", 3600),
    *(("MCP_LOG_LEVEL", word, word.lower()) for word in ["debug", "INFO", "Warning", "error"]),
]

BAD_ORIGINS = [
    "auth.example.com",
    "ftp://a.example",
    "https://",
    "https:///x",
    "https://a.example/tenant",
    "https://a.example?x",
    "https://a.example?",
    "https://a.example#",
    "https://me:hunter2@a.example",
    "https://@a.example",
    "https://a.example:0",
    "https://a.example:99999",
    "https://a.example:x",
    "https://a..example",
    "https://-a.example",
    "https://a.example\\b",
    "https://a b.example",
    "https://a.exa\tmple",
    "https://münchen.example",
    "https://[::1",
    "https://[a.example]",
    "https://[fe80::1%25eth0]",
    "https://0x7f.1",
    "https://134744072",
    "https://" + "a." * 200 + "example",
]

REFUSED = [
    *((name, value) for name in [*FLAGS, "MCP_OAUTH_ENABLE_PKCE"] for value in ["maybe", "2", "true # comment"]),
    *((name, value) for name in ISSUERS for value in BAD_ORIGINS),
    *(
        ("MCP_OAUTH_ALLOW_ORIGINS", value)
        for value in [
            *BAD_ORIGINS,
            *[
                "*",
                "null",
                "http://a HTTP://A/",
                "app://a APP://A/",
                "app://",
                "app:///",
                "app:a",
                "app://*",
                "app://a/b",
            ],
            *[
                "app://a?b",
                "app://u@a",
                "file://",
                "file://a",
                "blob://a",
                "data://a",
                "javascript://a",
            ],
            *[
                "about://blank",
                "ws://a",
                "wss://a",
                "view-source://a",
                "filesystem://a",
                "app://a:b",
                "app://a:0",
                "1://a",
            ],
        ]
    ),
    *(("MCP_OAUTH_ENABLE_PKCE", value) for value in ["false", "0", "OFF"]),
    *(("MCP_OAUTH_AUTO_APPROVE", value) for value in ["false", "True", "0", "a\nb"]),
    ("MCP_OAUTH_RESOURCE_URI", "mcp-server:8000"),
    ("MCP_OAUTH_RESOURCE_URI", "urn:example:resource"),
    ("MCP_OAUTH_RESOURCE_URI", "https://a.example/mcp#x"),
    ("MCP_OAUTH_RESOURCE_URI", "https://a.example/mcp?x=1"),
    ("MCP_OAUTH_RESOURCE_URI", "https://a.example/{id}"),
    ("MCP_OAUTH_RESOURCE_URI", "https://me:hunter2@a.example/mcp"),
    ("MCP_OAUTH_RESOURCE_URI", "https://a.example https://A.example/"),
    ("MCP_OAUTH_CLIENT_ID", "café"),
    ("MCP_OAUTH_CLIENT_ID", "a" * 256),
    ("MCP_OAUTH_CLIENT_SECRET", "hunter2"),
    ("MCP_OAUTH_CLIENT_SECRET", "fifteen-letters"),
    ("MCP_OAUTH_CLIENT_SECRET", "long enough, but é"),
    ("MCP_OAUTH_CLIENT_NAME", "a\x1b[31mb"),
    ("MCP_OAUTH_CLIENT_NAME", "n" * 256),
    ("MCP_OAUTH_CLIENT_REDIRECT_URIS", "http://app.example/cb"),
    ("MCP_OAUTH_CLIENT_REDIRECT_URIS", "http://localhost.example/cb"),
    ("MCP_OAUTH_CLIENT_REDIRECT_URIS", "https://app.example/cb#"),
    ("MCP_OAUTH_CLIENT_REDIRECT_URIS", "https://me@app.example/cb"),
    ("MCP_OAUTH_CLIENT_REDIRECT_URIS", "https://App.example/cb"),
    ("MCP_OAUTH_CLIENT_REDIRECT_URIS", "http://0x7f.1/cb"),
    ("MCP_OAUTH_CLIENT_REDIRECT_URIS", "localhost:3000/callback"),
    ("MCP_OAUTH_CLIENT_REDIRECT_URIS", "/callback"),
    ("MCP_OAUTH_CLIENT_REDIRECT_URIS", "https://a.example/cb https://a.example/cb"),
    ("MCP_OAUTH_TOKEN_EXPIRY", "59"),
    ("MCP_OAUTH_TOKEN_EXPIRY", "86401"),
    ("MCP_OAUTH_TOKEN_EXPIRY", "1h"),
    ("MCP_OAUTH_TOKEN_EXPIRY", "-3600"),
    ("MCP_OAUTH_TOKEN_EXPIRY", "٣٦٠٠"),
    ("MCP_OAUTH_TOKEN_EXPIRY", "9" * 5000),
    ("MCP_OAUTH_REFRESH_TOKEN_EXPIRY", "299"),
    ("MCP_OAUTH_REFRESH_TOKEN_EXPIRY", "31536001"),
    ("MCP_OAUTH_REFRESH_TOKEN_MAX_AGE", "2591999"),
    ("MCP_OAUTH_REFRESH_TOKEN_MAX_AGE", "63072001"),
    ("MCP_OAUTH_REFRESH_GRACE", "301"),
    ("MCP_OAUTH_SCOPE", 'mcp:read a"b'),
    ("MCP_OAUTH_SCOPE", "a\\b"),
    ("MCP_OAUTH_SCOPE", "mcp:read mcp:read"),
    *(("MCP_OAUTH_SCOPE", f"mcp:read {scope}") for scope in ["openid", "profile", "email", "offline_access"]),
    *(("MCP_OAUTH_TRUSTED_PROXIES", value) for value in ["*", "proxy", "10.0.0.1/8", "10.0.0.0/33", "::/0", "::1 ::1"]),
    ("MCP_OAUTH_DATABASE_URL", "oauth.db"),
    ("MCP_OAUTH_DATABASE_URL", "mysql://u:hunter2@h/db"),
    ("MCP_OAUTH_DATABASE_URL", "sqlite://"),
    ("MCP_OAUTH_DATABASE_URL", "sqlite:///"),
    ("MCP_OAUTH_DATABASE_URL", "sqlite:///:memory:"),
    ("MCP_OAUTH_DATABASE_URL", "sqlite:///file:x?mode=memory&uri=true"),
    ("MCP_OAUTH_DATABASE_URL", "postgresql://u:hunter2#@h/db"),
    ("MCP_OAUTH_DATABASE_URL", "postgresql://u:hunter2/@h/db"),
    ("MCP_OAUTH_DATABASE_URL", "postgresql://u:12/hunter2@h/db"),
    ("MCP_OAUTH_DATABASE_URL", "postgresql://u:12?hunter2@h/db"),
    ("MCP_OAUTH_DATABASE_URL", "postgresql://u:hunter2 @h/db"),
    ("MCP_OAUTH_DATABASE_URL", "postgresql://[u:hunter2@h/db"),
    ("MCP_OAUTH_DATABASE_URL", "sqlite:///a\0b"),
    ("MCP_OAUTH_CIMD", "everyone"),
    *(
        (name, value)
        for name in ["MCP_OAUTH_CIMD_HOSTS", "MCP_OAUTH_CHECK_HOSTS"]
        for value in ["https://a.example", "*.example", "a.example/x", "u@a.example", "a:b"]
    ),
    ("MCP_OAUTH_SIGNING_ALG", "HS256"),
    ("MCP_OAUTH_SIGNING_ALG", "none"),
    *(("MCP_OAUTH_AUDIT_RETENTION_DAYS", value) for value in ["-1", "3651", "1y"]),
    *(("MCP_OAUTH_KEY_ROTATION_DAYS", value) for value in ["-1", "3651", "90d"]),
    *(("MCP_OAUTH_KEY_ENCRYPTION_KEY", value) for value in ["hunter2", "aHVudGVyMg==", f"{ENCRYPTION_KEY}AAAA"]),
    *(
        ("MCP_OAUTH_KEY_ENCRYPTION_KEY", value)
        for value in [
            "none",
            f"{ENCRYPTION_KEY} none",
            f"{ENCRYPTION_KEY} hunter2",
            f"{ENCRYPTION_KEY};{ENCRYPTION_KEY}",
        ]
    ),
    ("MCP_OAUTH_KEY_ENCRYPTION_KEY", ENCRYPTION_KEY.replace("=", "\xe4")),
    ("MCP_OAUTH_ADMIN_USERNAME", "a\tb"),
    ("MCP_OAUTH_ADMIN_PASSWORD", "hunter2"),
    ("MCP_OAUTH_ADMIN_PASSWORD", "two lines of\nhunter2"),
    ("MCP_OAUTH_PRIVATE_USE_REDIRECT_URIS", "javascript:/alert(1)"),
    ("MCP_OAUTH_PRIVATE_USE_REDIRECT_URIS", "javascript:alert(1)"),
    ("MCP_OAUTH_PRIVATE_USE_REDIRECT_URIS", "https://a.example/cb"),
    ("MCP_OAUTH_PRIVATE_USE_REDIRECT_URIS", "com.a:/x#y"),
    *(
        ("MCP_OAUTH_PRIVATE_USE_REDIRECT_URIS", value)
        for value in [
            "warp://",
            "warp:///",
            "warp:",
            "warp://*",
            "warp://mcp/*",
            "com.a:/x\\y",
            "a://" + "b" * 2048,
            "warp",
        ]
    ),
    *(
        ("MCP_OAUTH_CLIENT_REDIRECT_URIS", value)
        for value in ["http://localhost:*/cb", "https://a.example/*", "warp://", "https://a.example/a\\b"]
    ),
    ("MCP_OAUTH_CLIENT_REDIRECT_URIS", "http://localhost/" + "c" * 2048),
    ("MCP_OAUTH_CLIENT_REDIRECT_URIS", "http://localhost/a/../cb"),
    ("MCP_OAUTH_PRIVATE_USE_REDIRECT_URIS", "com.a:/x com.a:/x"),
    ("MCP_TRANSPORT", "sse"),
    *(("MCP_HOST", value) for value in ["http://localhost", "localhost:8000", "[::1", "a b", "fe80::1%eth0"]),
    *(("MCP_PORT", value) for value in ["65536", "http", "80.0", "+80"]),
    *(("MCP_WORKERS", value) for value in ["0", "257", "auto"]),
    *(("MCP_KEEP_ALIVE", value) for value in ["0", "3601", "75s", "-1"]),
    ("MCP_LOG_LEVEL", "verbose"),
    ("MCP_LOG_FORMAT", "xml"),
    ("MCP_METRICS_HOST", "localhost:9464"),
    *(("MCP_METRICS_PORT", value) for value in ["0", "65536", "http"]),
]


def refusal(environ: dict[str, str], **options: object) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load(environ, **options)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).isprintable()
    return caught.value


def test_an_empty_list_of_admitted_hosts_admits_nobody_and_is_refused() -> None:
    assert refusal({"MCP_OAUTH_CIMD": "allowlist"}).name == "MCP_OAUTH_CIMD_HOSTS"
    assert load({"MCP_OAUTH_CIMD": "allowlist", "MCP_OAUTH_CIMD_HOSTS": "a.example"}).cimd_hosts == ("a.example",)


# One value at a time


# A secret of blanks is a mistake (test_settings.py).
NAMES_OF_SECRETS = {
    "MCP_OAUTH_CLIENT_SECRET",
    "MCP_OAUTH_ADMIN_PASSWORD",
    "MCP_OAUTH_DATABASE_URL",
    "MCP_OAUTH_KEY_ENCRYPTION_KEY",
}


def test_the_table_of_defaults_is_complete() -> None:
    assert list(DEFAULTS) == list(ENV_NAMES.values())
    assert set(ENV_NAMES) == set(Settings.model_fields)


@pytest.mark.parametrize(("name", "value"), DEFAULTS.items())
@pytest.mark.parametrize(
    "environ",
    [{}, dict.fromkeys(DEFAULTS, ""), dict.fromkeys(DEFAULTS.keys() - NAMES_OF_SECRETS, "' '")],
    ids=["absent", "empty", "blank in quotes"],
)
def test_default_also_when_empty(name: str, value: object, environ: dict[str, str]) -> None:
    settings = load(environ)
    assert getattr(settings, ATTRIBUTES[name]) == value
    assert settings.origins[name] == "default"


@pytest.mark.parametrize(("name", "value", "expected"), ACCEPTED)
def test_accepted(name: str, value: str, expected: object) -> None:
    assert getattr(load({name: value}), ATTRIBUTES[name]) == expected


@pytest.mark.parametrize("name", ["MCP_OAUTH_CLIENT_SECRET", "MCP_OAUTH_ADMIN_PASSWORD"])
def test_a_secret_is_kept_as_a_secret(name: str) -> None:
    assert getattr(load({name: "correct horse battery"}), ATTRIBUTES[name]) == pydantic.SecretStr(
        "correct horse battery"
    )


def test_every_name_has_an_accepted_value_and_all_but_free_text_a_refused_one() -> None:
    secrets = {"MCP_OAUTH_CLIENT_SECRET", "MCP_OAUTH_ADMIN_PASSWORD"}
    assert {name for name, _, _ in ACCEPTED} | secrets == set(DEFAULTS)
    assert {name for name, _ in REFUSED} == set(DEFAULTS)


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_refused_with_its_name(name: str, value: str) -> None:
    error = refusal({name: value})
    assert error.name == name
    assert str(error) == f"{name}: {error.problem}; accepted: {error.accepted}" or not error.problem.isprintable()
    assert error.problem
    assert error.accepted
    assert "hunter2" not in str(error)


def test_the_refused_star_is_explained() -> None:
    assert "every web site" in str(refusal({"MCP_OAUTH_ALLOW_ORIGINS": "https://a.example *"}))


def test_the_first_of_several_mistakes_is_named() -> None:
    assert refusal({"MCP_PORT": "x", "MCP_OAUTH_TOKEN_EXPIRY": "x"}).name == "MCP_OAUTH_TOKEN_EXPIRY"


def test_a_long_value_is_cut_in_the_message() -> None:
    assert len(str(refusal({"MCP_PORT": "x" * 10_000}))) < 200


def test_the_error_keeps_nothing_of_pydantic() -> None:
    error = refusal({"MCP_OAUTH_ADMIN_PASSWORD": "hunter2"})
    assert error.__suppress_context__
    assert "hunter2" not in repr(error)


def test_refresh_tokens_fit_their_longest_age() -> None:
    error = refusal({"MCP_OAUTH_REFRESH_TOKEN_EXPIRY": "20000000"})
    assert error.name == "MCP_OAUTH_REFRESH_TOKEN_MAX_AGE"
    assert "MCP_OAUTH_REFRESH_TOKEN_EXPIRY" in str(error)


# Whatever is written

_TEXT = st.text() | st.text(st.characters(), max_size=40) | st.sampled_from([value for _, value in REFUSED])
_SECRETS = ["MCP_OAUTH_CLIENT_SECRET", "MCP_OAUTH_ADMIN_PASSWORD", "MCP_OAUTH_DATABASE_URL"]
_SECRETS += ["MCP_OAUTH_KEY_ENCRYPTION_KEY"]
_NAMES = st.sampled_from([*DEFAULTS, *(f"{name}_FILE" for name in _SECRETS)]) | st.text().map("MCP_OAUTH_".__add__)
_ANY = hypothesis.settings(deadline=None, max_examples=300)


def outcome(environ: dict[str, str], host: str = "127.0.0.1") -> SettingsError | None:
    try:
        settings = load(environ)
        settings.shown()
        check_deployment(settings, resolve_issuer(settings, 8000), host)
    except SettingsError as error:
        return error
    return None


@_ANY
@hypothesis.given(environ=st.dictionaries(_NAMES, _TEXT, max_size=6), host=st.sampled_from(["127.0.0.1", "::"]))
def test_any_environment_loads_or_is_explained_in_one_line(environ: dict[str, str], host: str) -> None:
    error = outcome(environ, host)
    assert error is None or str(error).isprintable()


@_ANY
@hypothesis.example(name="MCP_OAUTH_REQUIRE_HTTPS", value="1")
@hypothesis.example(name="MCP_OAUTH_REFRESH_TOKEN_EXPIRY", value="31536000")
@hypothesis.given(name=st.sampled_from(list(DEFAULTS)), value=_TEXT)
def test_a_mistake_names_the_setting_that_made_it(name: str, value: str) -> None:
    error = outcome({name: value})
    assert error is None or name in str(error)


@_ANY
@hypothesis.given(name=st.sampled_from(_SECRETS), suffix=st.sampled_from(["", "_FILE"]), before=_TEXT, after=_TEXT)
def test_no_secret_is_ever_quoted(name: str, suffix: str, before: str, after: str) -> None:
    error = outcome({name + suffix: f"{before}sw0rdf1sh{after}"})
    assert error is None or "sw0rdf1sh" not in f"{error} {error!r}"


@_ANY
@hypothesis.given(
    url=st.from_regex(r"\Apostgres(ql)?://\w*:[ -~]{0,5}sw0rdf1sh[ -~]{0,5}@\w{1,9}/[ -~]{0,9}\Z", fullmatch=True)
)
def test_no_password_of_a_database_url_is_ever_shown(url: str) -> None:
    environ = {"MCP_OAUTH_DATABASE_URL": url}
    assert outcome(environ) or "sw0rdf1sh" not in f"{load(environ)!r} {load(environ).shown()}"
