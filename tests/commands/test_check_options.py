"""`check`: formats, files, baselines, explanations, and who may ask for what."""

import json
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from oauth_server import compliance
from oauth_server.commands import check_consent
from oauth_server.compliance import Report
from oauth_server.compliance.form_visitor import FormVisitor
from oauth_server.outbound import client as outbound
from tests.commands.conftest import Shell
from tests.support.loopback import serving
from tests.support.oauth import OAuthClient, Pkce
from tests.support.reports import JUDGED, with_statuses
from tests.support.server import OWNER, PASSWORD, Running

NOT_FOUND = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.fixture
async def elsewhere() -> AsyncIterator[str]:
    """A server that knows nothing of OAuth: every path is 404."""
    async with serving(lambda _: NOT_FOUND) as url:
        yield f"{url}/mcp"


def foreign(path: str) -> str:
    """A server of this computer whose authorization server is somebody else's."""
    if "oauth-protected-resource" not in path:
        return NOT_FOUND
    body = json.dumps({"resource": "http://127.0.0.1/mcp", "authorization_servers": ["https://as.invalid"]})
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"


@pytest.mark.parametrize(
    ("form", "marks"),
    [
        ("text", ("FAIL  MUST   prm-found: ", "\nFailed: prm-found, ")),
        ("json", ('"schema_version": 1', '"status": "fail"')),
        ("junit", ("<testsuites ", "<failure ")),
        ("sarif", ('"version": "2.1.0"', '"ruleId": "prm-found"')),
        ("markdown", ("## Failed: ", "**Fix:** ")),
        ("html", ("<!doctype html>", "Not passed: ")),
    ],
)
async def test_a_report_is_written_in_each_format_to_stdout_and_to_a_file(
    shell: Shell, elsewhere: str, tmp_path: Path, form: str, marks: tuple[str, ...]
) -> None:
    ended = await shell("check", elsewhere, "--format", form)
    path = tmp_path / "report"
    filed = await shell("check", elsewhere, "--format", form, "--output", str(path))
    assert (ended.status, ended.err, filed.status, filed.out) == (1, "", 1, "")
    assert filed.err.startswith(f"{path}: Failed: prm-found, ")
    for mark in marks:
        assert mark in ended.out
        assert mark in path.read_text(encoding="utf-8")
    assert "\x1b" not in ended.out


async def test_this_server_passes_in_the_formats_of_ci(server: Running, shell: Shell) -> None:
    document = ET.fromstring(await shell.says("check", "--format", "junit", "--fail-on", "should"))  # noqa: S314
    assert (document.attrib["failures"], document.attrib["errors"]) == ("0", "0")
    assert json.loads(await shell.says("check", "--format", "sarif"))["runs"][0]["results"] == []


async def test_json_is_a_format_too_and_there_is_but_one(shell: Shell, elsewhere: str) -> None:
    assert json.loads((await shell("check", elsewhere, "--json", "--format", "json")).out)["target"] == elsewhere
    ended = await shell("check", elsewhere, "--json", "--format", "html")
    assert (ended.status, ended.err) == (2, "--json and --format html: a report has one format.\n")


async def judged(shell: Shell, monkeypatch: pytest.MonkeyPatch, report: Report, *words: str) -> tuple[int, str]:
    """How `check` ends when this is what the audit finds."""

    async def audit(target: str, **options: Any) -> Report:
        return report

    monkeypatch.setattr(compliance, "audit", audit)
    ended = await shell("check", *words)
    return ended.status, ended.out


@pytest.mark.parametrize(
    ("statuses", "on_must", "on_should"),
    [
        ({}, 0, 0),
        ({"prm_found": "fail"}, 1, 1),
        ({"prm_found": "error"}, 1, 1),
        ({"prm_found": "skip"}, 0, 0),
        ({"asm_grant_types": "warn"}, 0, 1),
        ({"asm_grant_types": "error"}, 0, 1),
        ({"cors_discovery": "warn"}, 0, 0),
        ({"cors_discovery": "error"}, 0, 0),
    ],
)
async def test_the_status_is_1_for_what_is_not_kept_or_not_judged_at_the_level_asked_for(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, elsewhere: str, statuses: Any, on_must: int, on_should: int
) -> None:
    report = with_statuses(**statuses)
    assert (await judged(shell, monkeypatch, report, elsewhere))[0] == on_must
    assert (await judged(shell, monkeypatch, report, elsewhere, "--fail-on", "must"))[0] == on_must
    assert (await judged(shell, monkeypatch, report, elsewhere, "--fail-on", "should"))[0] == on_should


async def test_with_a_baseline_only_what_is_new_fails(shell: Shell, elsewhere: str, tmp_path: Path) -> None:
    path = tmp_path / "before.json"
    first = await shell("check", elsewhere, "--json", "--output", str(path))
    assert first.status == 1
    again = await shell("check", elsewhere, "--baseline", str(path))
    assert (again.status, again.err) == (0, "")
    assert "0 newly failing, 0 fixed, 0 no longer judged, 0 new checks, 0 gone checks" in again.out
    assert "(in the baseline)" in again.out
    assert "\nPassed: nothing that counts got worse since the baseline" in again.out
    before = json.loads(path.read_text())
    for check in before["checks"]:
        check["status"] = "pass" if check["id"] == "prm-found" else check["status"]
    path.write_text(json.dumps(before | {"depth": "active"}))
    worse = await shell("check", elsewhere, "--baseline", str(path), "--json")
    assert (worse.status, worse.err) == (1, "The baseline is of another depth: active\n")
    assert [change["id"] for change in json.loads(worse.out)["changes"]["failing"]] == ["prm-found"]


async def test_what_cannot_be_read_or_written_is_told_before_anything_is_asked(shell: Shell, tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:1/mcp"  # nobody listens: the run itself would be told otherwise
    (tmp_path / "hostile.json").write_text('{"checks": [], "schema_version": "\x1b[2J\\u001b"}')
    (tmp_path / "folder").mkdir()
    for words in (
        ("--baseline", "missing"),
        ("--baseline", "folder"),
        ("--baseline", "hostile.json"),
        ("--output", "folder"),
        ("--output", "missing/report.html"),
        ("--user", OWNER, "--depth", "active", "--password-file", "missing"),
    ):
        named = [str(tmp_path / word) if number == len(words) - 1 else word for number, word in enumerate(words)]
        ended = await shell("check", nowhere, *named)
        assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1), ended
        assert ended.err.startswith(f"{words[-2]}: {tmp_path}"), ended
        assert ended.err.rstrip("\n").isprintable()


# What it looks at


async def test_every_check_is_explained_in_full(shell: Shell) -> None:
    text = await shell.says("check", "--explain", "prm-no-offline-access")
    lines = [line.split(None, 1) for line in text.splitlines()]
    assert lines[0] == ["id", "prm-no-offline-access"]
    assert [line[0] for line in lines if line[0] in {"role", "family", "depth", "looks_at", "fix"}] == [
        "role",
        "family",
        "depth",
        "looks_at",
        "fix",
    ]
    assert ["levels", "2025-03-26  not asked for"] in lines
    assert ["2026-07-28", "SHOULD"] in lines
    assert "https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#refresh-tokens" in text
    told = (await shell.says("check", "--json", "--list", "--depth", "adversarial")).splitlines()
    assert await shell.says("check", "--json", "--explain", JUDGED[-1].id) == f"{told[-1]}\n"
    for check, found in zip(JUDGED, map(json.loads, told), strict=True):
        assert (found["id"], found["fix"]) == (check.id, check.fix)
        assert len(found["looks_at"]) > 10, check.id
        assert all(source["url"].startswith("https://") for source in found["sources"])


async def test_an_unknown_check_leads_to_the_nearest_ones(shell: Shell) -> None:
    ended = await shell("check", "--explain", "asm-pcke-s256")
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("--explain: there is no check asm-pcke-s256; did you mean asm-pkce-s256?\n")
    ended = await shell("check", "--explain", "pkce")
    assert ended.err.endswith("did you mean asm-pkce-s256 or asm-pkce-no-plain or oidc-pkce?\n")
    ended = await shell("check", "--explain", "\x1b[2J")
    assert ended.err == "--explain: there is no check \\x1b[2J; --list names them all.\n"
    assert (await shell("check", "--explain", "")).status == 2


async def test_checks_are_listed_by_specification_and_depth(shell: Shell) -> None:
    rows = (await shell.says("check", "--list")).splitlines()
    assert rows[0].split() == ["ID", "LEVEL", "DEPTH", "FAMILY", "TITLE"]
    passive = {check.id for check in JUDGED if check.depth == "passive"}
    assert {row.split()[0] for row in rows[1:]} == passive
    deepest = (await shell.says("check", "--list", "--depth", "adversarial", "--json")).splitlines()
    assert [json.loads(line)["id"] for line in deepest] == [check.id for check in JUDGED]
    older = await shell.says("check", "--list", "--spec", "2025-03-26")
    assert "prm-found" not in older
    assert "asm-found" in older


# Who signs in


class Seen:
    """What the audit was handed, and where its visitor came."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
        self.options: dict[str, Any] = {}
        self.location = ""
        self._url = url
        monkeypatch.setattr(compliance, "audit", self.audit)

    async def audit(self, target: str, **options: Any) -> Report:
        self.options = options
        if options["visitor"] is not None:
            self.location = (await options["visitor"].visit(self._url)).location
        return with_statuses()


@pytest.fixture
async def client(closing: AsyncExitStack, server: Running) -> OAuthClient:
    """A client that comes back to where the visitor waits."""
    found = await OAuthClient.register(server, redirect_uris=[FormVisitor.redirect_uri])
    closing.push_async_callback(found.close)
    return found


async def test_a_given_user_signs_in_with_a_password_that_is_no_argument(
    server: Running, shell: Shell, client: OAuthClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = Seen(monkeypatch, client.url(Pkce.new()))
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    by_file = ("--user", OWNER, "--password-file", str(tmp_path / "password"))
    for words, env in ((by_file, {}), (("--user", OWNER), {"MCP_PASSWORD": PASSWORD})):
        seen.location = ""
        await shell.says("check", "--depth", "active", *words, **env)
        assert "code=" in seen.location
    await shell.says("check", "--depth", "active", MCP_PASSWORD=PASSWORD)
    assert seen.location == ""  # nobody was named, so nobody signs in
    await shell.says("check", MCP_PASSWORD=PASSWORD)
    assert seen.options["visitor"] is None


async def test_an_operators_client_goes_with_its_secret(
    shell: Shell, elsewhere: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = Seen(monkeypatch, elsewhere)
    words = ("check", elsewhere, "--depth", "active", "--client-id", "mine")
    await shell.says(*words)
    assert (seen.options["client"].client_id, seen.options["client"].method) == ("mine", "none")
    await shell.says(*words, MCP_CLIENT_SECRET="s3cret")
    assert (seen.options["client"].secret, seen.options["client"].method) == ("s3cret", "client_secret_basic")
    assert seen.options["client"].redirect_uri == FormVisitor.redirect_uri
    (tmp_path / "secret").write_text("other\n")
    await shell.says(*words, "--client-secret-file", str(tmp_path / "secret"), MCP_CLIENT_SECRET="s3cret")
    assert seen.options["client"].secret == "other"


async def test_a_person_signs_in_with_their_browser(
    server: Running, shell: Shell, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Seen(monkeypatch, f"{server.url}/oauth/authorize?state=1")
    monkeypatch.setattr(check_consent, "_BROWSER_SECONDS", 1234.0)
    opened = []

    def person(url: str) -> bool:
        opened.append(url)
        uri = seen.options["visitor"].redirect_uri
        import urllib.request  # noqa: PLC0415 - in a thread, as a browser is a program of its own

        urllib.request.urlopen(f"{uri}?code=1&state=1").close()  # noqa: S310 - of this computer
        return True

    monkeypatch.setattr("webbrowser.open", person)
    ended = await shell("check", elsewhere, "--depth", "active", "--browser")
    assert (ended.status, ended.err) == (
        0,
        "Consent 1 of at most 10: sign in and approve in your browser, within 5 minutes.\n",
    )
    assert opened == [f"{server.url}/oauth/authorize?state=1"]
    assert seen.location == f"{seen.options['visitor'].redirect_uri}?code=1&state=1"
    assert seen.options["seconds"] == 1234.0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--depth active --user a --browser", "--user and --browser: one of them signs in."),
        ("--depth active --password-file p", "--password-file: say whose it is with --user."),
        ("--depth active --client-secret-file p", "--client-secret-file: say whose it is with --client-id."),
        ("--depth active --user a", "--user: set MCP_PASSWORD, or say --password-file FILE."),
        ("--browser", "--browser: nobody signs in at depth passive; say --depth active or adversarial."),
        ("--user a", "--user: nobody signs in at depth passive; say --depth active or adversarial."),
        ("--client-id a", "--client-id: nobody signs in at depth passive; say --depth active or adversarial."),
    ],
)
async def test_options_that_do_not_go_together_are_told(shell: Shell, words: str, said: str) -> None:
    ended = await shell("check", "http://127.0.0.1:1/mcp", *words.split())
    assert (ended.status, ended.out, ended.err) == (2, "", f"{said}\n")


# Whose server it is


def reply(status: int, members: dict[str, Any], fields: str = "") -> str:
    body = json.dumps(members)
    return f"HTTP/1.1 {status} X\r\n{fields}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"


async def asked(shell: Shell, url: str, *words: str) -> tuple[int, str]:
    ended = await shell("check", url, *words)
    return ended.status, ended.err


async def test_what_is_not_of_this_computer_is_troubled_only_with_its_operators_word(
    shell: Shell, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr(outbound, "resolve_by_system", resolve)
    named = elsewhere.replace("127.0.0.1", "mcp.example")
    host = named.split("/")[2]
    for depth in ("active", "adversarial"):
        status, said = await asked(shell, named, "--depth", depth)
        question = f"This registers clients at {host} and sends requests that must be refused. Are you the operator?"
        assert (status, said) == (2, f"{question} Nobody can be asked here: say --operator.\n")
        assert await asked(shell, named, "--depth", depth, "--operator") == (1, "")
        assert await asked(shell, elsewhere, "--depth", depth) == (1, "")
    assert await asked(shell, named) == (1, "")


async def test_an_authorization_server_of_somebody_else_needs_the_word_too(shell: Shell) -> None:
    async with serving(foreign) as url:
        status, said = await asked(shell, f"{url}/mcp", "--depth", "active")
    assert (status, said.startswith("This registers clients at as.invalid and sends")) == (2, True), said


async def test_a_run_asks_no_server_that_was_not_named_to_its_operator(shell: Shell) -> None:
    looked = 0

    def turncoat(path: str) -> str | None:
        nonlocal looked
        if "oauth-protected-resource" not in path:
            return reply(401, {}, 'WWW-Authenticate: Bearer scope="x"\r\n') if path == "/mcp" else reply(404, {})
        looked += 1
        issuer = url if looked == 1 else victim
        return reply(200, {"resource": f"{url}/mcp", "authorization_servers": [issuer]})

    asked_there: list[str] = []
    async with (
        serving(turncoat) as url,
        serving(lambda path: asked_there.append(path) or reply(404, {})) as victim,
    ):
        ended = await shell("check", f"{url}/mcp", "--depth", "active", "--json")
    assert looked > 1
    assert asked_there == []
    assert "not among the servers that may be asked" in ended.out


async def test_this_servers_own_run_asks_nobody(shell: Shell, elsewhere: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr(outbound, "resolve_by_system", resolve)
    issuer = elsewhere.replace("127.0.0.1", "mcp.example").removesuffix("/mcp")
    ended = await shell("check", "--depth", "active", MCP_OAUTH_ISSUER=issuer, MCP_OAUTH_REQUIRE_HTTPS="false")
    assert (ended.status, ended.err) == (1, "")
    assert ended.out.startswith(f"{issuer}/mcp\n")
