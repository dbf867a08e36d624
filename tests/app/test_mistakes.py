"""Every mistake at the start: one line on stderr that names it, exit status 2, no traceback, nothing created."""

import logging
import os
import re
import socket
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest

import server as program
from oauth_server.app.serve import serve
from oauth_server.core.settings import ENV_NAMES
from oauth_server.store.store import Store
from tests.support.program import FASTMCP, SERVER, Ended, environment, free_port, run

SAMPLE = "mcp_secret_key_change_in_production_2024"
PUBLIC = "0.0.0.0"  # noqa: S104

# Every setting, with a value that it refuses.
VALUES = {
    "ENABLE_MCP_OAUTH": "maybe",
    "MCP_OAUTH_REQUIRE_AUTH": "2",
    "MCP_OAUTH_AUTO_APPROVE": "true",
    "MCP_OAUTH_INSECURE_BIND": "perhaps",
    "MCP_OAUTH_ISSUER": "https://auth.example/tenant",
    "MCP_OAUTH_AUTHORIZATION_SERVER": "https://other.example",
    "MCP_OAUTH_RESOURCE_URI": "https://a.example/mcp#part",
    "MCP_OAUTH_CLIENT_ID": "clïent",
    "MCP_OAUTH_CLIENT_SECRET": "hunter2-short",
    "MCP_OAUTH_CLIENT_NAME": "bell\a",
    "MCP_OAUTH_CLIENT_REDIRECT_URIS": "http://evil.example/cb",
    "MCP_OAUTH_TOKEN_EXPIRY": "5",
    "MCP_OAUTH_REFRESH_TOKEN_EXPIRY": "1h",
    "MCP_OAUTH_REFRESH_TOKEN_MAX_AGE": "300",
    "MCP_OAUTH_REFRESH_GRACE": "-1",
    "MCP_OAUTH_SCOPE": "mcp:read openid",
    "MCP_OAUTH_REQUIRE_HTTPS": "yes please",
    "MCP_OAUTH_DYNAMIC_REGISTRATION": "open",
    "MCP_OAUTH_ENABLE_PKCE": "false",
    "MCP_OAUTH_ALLOW_ORIGINS": "*",
    "MCP_OAUTH_TRUSTED_PROXIES": "0.0.0.0/0",
    "MCP_OAUTH_DATABASE_URL": "mysql://me:hunter2@host/db",
    "MCP_OAUTH_SIGNING_ALG": "HS256",
    "MCP_OAUTH_KEY_ROTATION_DAYS": "quarterly",
    "MCP_OAUTH_AUDIT_RETENTION_DAYS": "a year",
    "MCP_OAUTH_KEY_ENCRYPTION_KEY": "aHVudGVyMg==",
    "MCP_OAUTH_CIMD": "everyone",
    "MCP_OAUTH_CIMD_HOSTS": "https://a.example",
    "MCP_OAUTH_CHECK_HOSTS": "10.0.0.0/8",
    "MCP_OAUTH_ADMIN_USERNAME": "ad\x1bmin",
    "MCP_OAUTH_ADMIN_PASSWORD": "hunter2",
    "MCP_OAUTH_PRIVATE_USE_REDIRECT_URIS": "javascript:alert(1)",
    "MCP_TRANSPORT": "sse",
    "MCP_HOST": "http://localhost",
    "MCP_PORT": "70000",
    "MCP_WORKERS": "0",
    "MCP_KEEP_ALIVE": "0",
    "MCP_LOG_LEVEL": "loud",
    "MCP_LOG_FORMAT": "xml",
    "MCP_METRICS_HOST": "http://localhost",
    "MCP_METRICS_PORT": "0",
}


@dataclass(frozen=True)
class Mistake:
    """What is set or given, and the beginning of the one line."""

    line: str
    env: dict[str, str]
    options: tuple[str, ...] = ()
    command: tuple[str, ...] = SERVER


TOGETHER = {
    "unknown": Mistake("MCP_OAUTH_ISUER: .*did you mean MCP_OAUTH_ISSUER", {"MCP_OAUTH_ISUER": "https://a.example"}),
    "plain-http": Mistake(
        "MCP_OAUTH_ISSUER: http://auth.example is not https", {"MCP_OAUTH_ISSUER": "http://auth.example"}
    ),
    "https-required": Mistake("MCP_OAUTH_ISSUER: .* is not https", {"MCP_OAUTH_REQUIRE_HTTPS": "true"}),
    "off-in-public": Mistake("ENABLE_MCP_OAUTH: ", {"ENABLE_MCP_OAUTH": "false", "MCP_HOST": PUBLIC}),
    "open-in-public": Mistake("MCP_OAUTH_REQUIRE_AUTH: ", {"MCP_OAUTH_REQUIRE_AUTH": "false"}, ("--host", PUBLIC)),
    "open-issuer": Mistake(
        "MCP_OAUTH_REQUIRE_AUTH: ", {"MCP_OAUTH_REQUIRE_AUTH": "false", "MCP_OAUTH_ISSUER": "https://a.example"}
    ),
    "approve-issuer": Mistake(
        "MCP_OAUTH_AUTO_APPROVE: ", {"MCP_OAUTH_AUTO_APPROVE": "admin", "MCP_OAUTH_ISSUER": "https://a.example"}
    ),
    "sample-secret": Mistake(
        "MCP_OAUTH_CLIENT_SECRET: is the sample",
        {"MCP_OAUTH_CLIENT_SECRET": SAMPLE, "MCP_OAUTH_ISSUER": "https://a.example"},
    ),
    "lost-file": Mistake(
        "MCP_OAUTH_ADMIN_PASSWORD_FILE: the file cannot be read", {"MCP_OAUTH_ADMIN_PASSWORD_FILE": "/lost"}
    ),
    "option-value": Mistake("--port: '70000' is out of range", {}, ("--port", "70000")),
    "no-postgres": Mistake(
        "MCP_OAUTH_DATABASE_URL: the database cannot be reached",
        {"MCP_OAUTH_DATABASE_URL": "postgresql://me:hunter2@127.0.0.1:1/db"},
    ),
    "no-postgres-workers": Mistake(
        "MCP_OAUTH_DATABASE_URL: the database cannot be reached",
        {"MCP_OAUTH_DATABASE_URL": "postgresql://me:hunter2@127.0.0.1:1/db"},
        ("--workers", "2"),
    ),
    "no-folder": Mistake(
        "MCP_OAUTH_DATABASE_URL: .* cannot be written", {"MCP_OAUTH_DATABASE_URL": "sqlite:////proc/no/oauth.db"}
    ),
    "not-a-database": Mistake("MCP_OAUTH_DATABASE_URL: .*not a database", {"MCP_OAUTH_DATABASE_URL": "{text}"}),
    "newer-schema": Mistake(
        "MCP_OAUTH_DATABASE_URL: the database has schema 9999, newer", {"MCP_OAUTH_DATABASE_URL": "{newer}"}
    ),
    "taken-port": Mistake("MCP_PORT: .*:{taken} cannot be bound", {"MCP_PORT": "{taken}"}),
    "taken-port-workers": Mistake("MCP_PORT: .*:{taken} cannot be bound", {"MCP_PORT": "{taken}"}, ("--workers", "2")),
    "foreign-host": Mistake("MCP_PORT: 192.0.2.1:.* cannot be bound", {"MCP_HOST": "192.0.2.1"}),
    "unknown-host": Mistake("MCP_HOST: no-such.invalid cannot be resolved", {"MCP_HOST": "no-such.invalid"}),
}
STDIO = ("--transport", "stdio")
OVER_STDIO = {
    "setting": Mistake("MCP_OAUTH_TOKEN_EXPIRY: ", {"MCP_OAUTH_TOKEN_EXPIRY": "5"}, STDIO),
    "together": Mistake("MCP_OAUTH_ISSUER: ", {"MCP_OAUTH_ISSUER": "http://auth.example"}, STDIO),
    "no-postgres": Mistake(TOGETHER["no-postgres"].line, TOGETHER["no-postgres"].env, STDIO),
    "no-folder": Mistake(TOGETHER["no-folder"].line, TOGETHER["no-folder"].env, STDIO),
    "newer-schema": Mistake(TOGETHER["newer-schema"].line, TOGETHER["newer-schema"].env, STDIO),
}
OVER_FASTMCP = {
    "setting": Mistake("MCP_OAUTH_TOKEN_EXPIRY: ", {"MCP_OAUTH_TOKEN_EXPIRY": "5"}, (), FASTMCP),
    "newer-schema": Mistake(TOGETHER["newer-schema"].line, TOGETHER["newer-schema"].env, (), FASTMCP),
    "taken-port": Mistake(
        "MCP_PORT: .*:{taken} cannot be bound", {}, ("--transport", "http", "--port", "{taken}"), FASTMCP
    ),
    "sse": Mistake("--transport: the deprecated SSE", {}, ("--transport", "sse", "--port", "{free}"), FASTMCP),
    "path": Mistake("--path: ", {}, ("--transport", "http", "--port", "{free}", "--path", "/other"), FASTMCP),
}
ALL = {**TOGETHER, **{f"stdio-{name}": mistake for name, mistake in OVER_STDIO.items()}}
# A process costs a second and a half: of each kind one, FastMCP's own command line always, the others in this process.
PROCESSES = {
    "setting": Mistake("MCP_OAUTH_CLIENT_ID: ", {"MCP_OAUTH_CLIENT_ID": VALUES["MCP_OAUTH_CLIENT_ID"]}),
    **{name: ALL[name] for name in ("option-value", "newer-schema", "taken-port-workers", "stdio-no-postgres")},
    **{f"fastmcp-{name}": mistake for name, mistake in OVER_FASTMCP.items()},
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A taken port, a free one, a database of a later release, and a file that is no database."""
    folder = tmp_path_factory.mktemp("places")
    newer = f"sqlite:///{folder}/newer.db"
    Store(newer).close()
    with sqlite3.connect(folder / "newer.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    (folder / "text.db").write_bytes(b"not a database at all\n" * 100)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        yield {"taken": port, "newer": newer, "text": f"sqlite:///{folder}/text.db", "free": str(free_port())}


def fill(text: str, places: dict[str, str]) -> str:
    """Put the names of the places in."""
    return re.sub(r"\{(\w+)\}", lambda match: places[match[1]], text)


def filled(mistake: Mistake, places: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """The options and the environment of a start."""
    env = {"MCP_PORT": places["free"], **mistake.env}
    return [fill(option, places) for option in mistake.options], {n: fill(v, places) for n, v in env.items()}


def judge(ended: Ended, line: str, folder: Path, *, opens_first: bool = False) -> None:
    """One line that names the mistake, and nothing created."""
    assert len(ended.lines) == 1, ended.err
    (said,) = ended.lines
    assert re.match(line, said), said
    assert re.fullmatch(r"[A-Z_-]+[A-Za-z_]*: .+; accepted: .+", said) or said.startswith("--"), said
    assert said.isprintable()
    assert "hunter2" not in said
    assert ended.status == 2
    assert ended.out == ""
    assert opens_first or not (folder / "oauth.db").exists()


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a start send the log to its own stderr, until the test is over."""
    for name in ("oauth_server", "oauth_tools", "well_known"):
        logger = logging.getLogger(name)
        for attribute in ("handlers", "level", "propagate"):
            monkeypatch.setattr(logger, attribute, getattr(logger, attribute))


def test_every_setting_has_a_refused_value_here() -> None:
    assert set(VALUES) == set(ENV_NAMES.values())


@pytest.mark.requirement("attack-71")
@pytest.mark.parametrize("name", PROCESSES)
async def test_a_mistake_ends_the_process_with_one_line_and_status_2(
    places: dict[str, str], tmp_path: Path, name: str
) -> None:
    mistake = PROCESSES[name]
    options, env = filled(mistake, places)
    ended = await run(*mistake.command, *options, env=environment(tmp_path, **env))
    judge(ended, fill(mistake.line, places), tmp_path)


@pytest.mark.requirement("attack-71")
@pytest.mark.parametrize("name", ALL)
def test_a_mistake_ends_the_start_with_one_line_and_status_2(
    places: dict[str, str],
    tmp_path: Path,
    name: str,
    quiet: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mistake = ALL[name]
    options, env = filled(mistake, places)
    monkeypatch.setattr(sys, "argv", ["server.py", *options])
    with (
        patch.dict(os.environ, environment(tmp_path, **env), clear=True),
        patch.object(logging.getLogger(), "handlers", logging.getLogger().handlers),
        pytest.raises(SystemExit) as caught,
    ):
        program.main()
    out, err = capsys.readouterr()
    # On stdio the database is opened first: it knows the issuer.
    opens_first = name == "stdio-together"
    judge(Ended(int(str(caught.value.code)), out, err), fill(mistake.line, places), tmp_path, opens_first=opens_first)


@pytest.mark.requirement("attack-71")
@pytest.mark.parametrize("transport", ["http", "stdio"])
@pytest.mark.parametrize("name", VALUES)
def test_each_refused_setting_is_named_in_one_line(
    name: str, transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "MCP_OAUTH_AUTHORIZATION_SERVER":
        monkeypatch.setenv("MCP_OAUTH_ISSUER", "https://auth.example")
    for variable, value in {"XDG_DATA_HOME": str(tmp_path), "MCP_TRANSPORT": transport, name: VALUES[name]}.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as caught:
        serve(transport=None, host=None, port=None, workers=None)
    out, err = capsys.readouterr()
    assert (caught.value.code, out, len(err.splitlines())) == (2, "", 1)
    assert re.fullmatch(rf"{name}: .+; accepted: .+\n", err), err
    assert "hunter2" not in err
    assert list(tmp_path.iterdir()) == []
