"""Reports: the stable schema, the text, and what must never stand in either."""

import json

import pytest
from flawed_documents import TOKEN
from flawed_server import FlawedServer

from oauth_server.compliance import LIMITS, Report, audit, www_authenticate
from oauth_server.compliance.inert import inert, redact
from oauth_server.outbound import Outbound

TARGET = "https://mcp.example/mcp"


async def run(flaw: str) -> Report:
    outbound = Outbound(transport=FlawedServer(flaw).transport(), limits=LIMITS["active"])
    return await audit(TARGET, outbound=outbound, depth="active", access_token=TOKEN, now=lambda: 1_790_000_000.0)


async def test_the_schema_is_the_documented_one() -> None:
    report = (await run("asm-pkce-s256")).as_dict()
    assert json.loads(json.dumps(report)) == report
    assert {key: report[key] for key in ("schema_version", "target", "spec_version", "depth", "started_at")} == {
        "schema_version": 1,
        "target": TARGET,
        "spec_version": "2026-07-28",
        "depth": "active",
        "started_at": "2026-09-21T14:13:20+00:00",
    }
    (check,) = (check for check in report["checks"] if check["status"] == "fail")
    assert set(check) == {
        "id",
        "title",
        "role",
        "family",
        "level",
        "depth",
        "sources",
        "status",
        "summary",
        "evidence",
        "fix",
    }
    assert (check["id"], check["level"], check["role"]) == ("asm-pkce-s256", "MUST", "authorization server")
    assert check["evidence"][0]["request"] == "GET https://mcp.example/.well-known/oauth-authorization-server"
    assert check["evidence"][0]["status"] == 200
    assert check["evidence"][0]["seen"] == "code_challenge_methods_supported: None"
    summary = report["summary"]
    assert summary["fail"] == 1
    assert (
        summary["total"] == len(report["checks"]) == sum(summary[s] for s in ("pass", "fail", "warn", "skip", "error"))
    )
    assert summary["levels"]["MUST"]["fail"] == 1
    assert sum(sum(counts.values()) for counts in summary["levels"].values()) == summary["total"]
    assert summary["roles"]["authorization server"]["MUST"]["fail"] == 1
    by_role = [counts for levels in summary["roles"].values() for counts in levels.values()]
    assert sum(sum(counts.values()) for counts in by_role) == summary["total"]


async def test_the_text_names_failures_first_with_their_fix() -> None:
    lines = (await run("asm-pkce-s256")).text().splitlines()
    assert lines[0] == TARGET
    assert "1 fail" in lines[1]
    assert lines[7:9] == ["authorization server metadata", "FAIL  MUST   asm-pkce-s256: PKCE with S256 is advertised"]
    assert any(line.strip().startswith("Fix: ") for line in lines[9:13])
    marked = [line for line in lines if line.startswith(("FAIL", "WARN", "ERROR", "SKIP", "PASS"))]
    assert marked[-1].startswith("PASS")
    assert lines[-1] == "Failed: asm-pkce-s256."


async def test_a_token_stands_nowhere_in_a_report() -> None:
    for flaw in ("", "bearer-accepted", "bearer-tampered", "bearer-confused-algorithm"):
        report = await run(flaw)
        assert TOKEN not in report.text() + json.dumps(report.as_dict())
        assert TOKEN.rpartition(".")[0] not in json.dumps(report.as_dict())


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ('{"access_token": "abc", "x": 1}', "abc"),
        ('{"client_secret" : "s3cret"}', "s3cret"),
        ("https://a.example/cb?code=abc123&state=x", "abc123"),
        ("Authorization: Bearer abcdefghijklmnopqrst", "abcdefghijklmnopqrst"),
        ("seen eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ1In0.c2lnbmF0dXJl there", "eyJzdWIiOiJ1In0"),
    ],
)
def test_what_has_the_name_or_the_shape_of_a_secret_is_redacted(text: str, secret: str) -> None:
    assert secret not in redact(text)
    assert "[redacted]" in redact(text)


def test_given_secrets_are_redacted_even_when_cut_off() -> None:
    assert "opaque" not in redact("a opaque b", ["opaque"])
    assert "0123456789abcdef" not in redact("x 0123456789abcdefghi", ["0123456789abcdefghijklmnop"])
    assert redact('Bearer resource_metadata="https://a"') == 'Bearer resource_metadata="https://a"'


def test_texts_are_bounded_and_inert() -> None:
    assert inert("a\x1b[0m\u202e\n", 100) == "a\\x1b[0m\\u202e\\n"
    assert inert("x" * 10, 10) == "x" * 10
    assert inert("x" * 11, 10) == "x" * 9 + "…"
    assert len(inert("\x00" * 9999, 10)) == 10


def test_challenges_are_read_as_the_standard_writes_them() -> None:
    values = ['Basic realm="a, \\"b\\"", Bearer  scope = "x y" ,error=invalid_token', "Negotiate"]
    found = www_authenticate.read(values)
    assert [(item.scheme, dict(item.parameters), item.problem) for item in found] == [
        ("basic", {"realm": 'a, "b"'}, ""),
        ("bearer", {"scope": "x y", "error": "invalid_token"}, ""),
        ("negotiate", {}, ""),
    ]
    assert "twice" in www_authenticate.read(['Bearer a="1", A="2"'])[0].problem
    assert "before any scheme" in www_authenticate.read(['realm="x"'])[0].problem
    assert "character 7" in www_authenticate.read(['Bearer {"a": 1}'])[0].problem
