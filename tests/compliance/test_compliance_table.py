"""No check without a flaw it catches, no flaw that turns another check."""

import httpx2
import pytest
from flawed_documents import TOKEN
from flawed_server import FlawedServer
from flawed_state import PASSWORD, USER

from oauth_server.compliance import CHECKS, LIMITS, Check, Report, SpecVersion, audit
from oauth_server.compliance.form_visitor import FormVisitor
from oauth_server.compliance.model import VERSIONS
from oauth_server.outbound import Outbound
from tests.support.program import ROOT

HTTPS = "https://mcp.example"
LOOPBACK = "http://127.0.0.1:8000"
PLAIN = "http://mcp.example"

DOCUMENTS = {
    "cimd-dot-segment",
    "cimd-fragment",
    "cimd-http",
    "cimd-no-path",
    "cimd-private",
    "cimd-unreachable",
    "cimd-userinfo",
}
# Each switch, and the checks it turns besides the one it is named after.
ALSO: dict[str, set[str]] = {
    "prm-found": {"prm-at-inserted-path", "prm-at-root", "challenge-resolves"},
    "challenge-scheme": {"bearer-invalid-token", "bearer-challenge"},
    "token-types": {"token-scope-stated"},
    "bearer-challenge": {"bearer-invalid-token", "bearer-metadata"},
    "asm-issuer-exact": {"oidc-agrees", "iss-exact", "asm-issuer-slash", "at-iss", "id-token-iss"},
    "asm-issuer-form": {"iss-exact", "at-iss", "id-token-iss"},
    "asm-grant-types": {"asm-refresh-consistent"},
    "asm-auth-methods": {"asm-public-clients", "cimd-none-advertised"},
    "asm-client-identifiers": {"asm-client-metadata-docs"},
    "oidc-issuer": {"oidc-agrees"},
    # Registration, the authorization endpoint, its pages
    "cimd-none-advertised": {"asm-public-clients"},
    "cimd-jwt-algs": {"asm-second-opinion"},
    "authorize-unknown-client": DOCUMENTS,
    "authorize-not-307": {"authorize-303"},
    "iss-success": {"iss-advertised"},
    "iss-error": {"iss-advertised"},
    "iss-advertised": {"asm-iss-parameter"},
    "asm-iss-parameter": {"iss-advertised"},
    "consent-csrf": {"login-cookie-flags"},
    # tokens and grants
    "prm-resource-matches": {"challenge-resolves", "resource-metadata-value"},
    "prm-resource-form": {"resource-metadata-value"},
    "token-code-replay": {"token-code-parallel"},
    "assertion-wrong-audience": {"assertion-audience-list"},
    "resource-authorize-foreign": {"resource-invalid-target"},
    "refresh-old-ends": {"refresh-parallel"},
    "refresh-race": {"refresh-grace"},
    # Of the endpoint, its tokens and its transport:
    "asm-at-inserted-path": {"asm-client-identifiers", "asm-client-metadata-docs"},
    "asm-issuer-slash": {"iss-exact", "at-iss", "id-token-iss"},
    "token-lifetime": {"at-lifetime"},
    "at-lifetime": {"token-lifetime"},
    "oidc-id-token-algorithms": {"id-token-algorithm"},
    "jwks-parameters": {"id-token-signature"},
    "jwks-strength": {"id-token-signature"},
    "jwks-covers-id-tokens": {"id-token-signature"},
    "challenge-status": {"challenge-before-body"},
    "at-aud": {"at-aud-resource"},
    "transport-version-refused": {"transport-version-error"},
}
# Switches that are not named after a check.
OTHERS: dict[str, set[str]] = {
    "prm-root-resource": {"prm-resource-matches"},
    "prm-insecure-issuer": {"prm-authorization-servers"},
    "prm-bearer-body": {"prm-bearer-methods"},
    "prm-no-freshness": {"prm-cacheable"},
    "challenge-unclosed": {
        "challenge-syntax",
        "challenge-resource-metadata",
        "challenge-scope",
        "bearer-invalid-token",
    },
    "asm-list-types": {"asm-types"},
    "asm-null-member": {"asm-types"},
    "consent-forgotten": set(),
    "asm-null-endpoint": {"asm-types"},
    "asm-languages": {"asm-second-opinion"},
    "asm-algorithms": {"asm-second-opinion"},
    "prm-string-scopes": {"prm-types", "prm-scopes-supported"},
    "register-null-secret": {"register-types"},
    "register-list-scope": {"register-types"},
    "token-null-refresh": {"token-types", "refresh-issued"},
    "id-token-implicit": set(),
    "state-raw": {"authorize-state"},
    "oidc-id-token-none": {"oidc-id-token-algorithms"},
    "jwks-empty": {"jwks-readable"},
    "jwks-no-kid": {"jwks-kid-unique"},
    "jwks-no-use": {"jwks-parameters"},
    "token-get-404": set(),
    "token-basic-status": {"token-basic-challenge"},
    # Registration, the authorization endpoint, its pages
    "register-management-undead": {"register-management-delete"},
    "register-crash": {
        "assertion-large-keys",
        "register-data",
        "register-error",
        "register-fragment",
        "register-http",
        "register-javascript",
        "register-logo-script",
        "register-no-redirect",
        "register-relative",
        "register-wrong-type",
        "redirect-wildcard",
    },
    "cimd-algs-none": {"cimd-jwt-algs", "asm-second-opinion"},
    "cimd-algs-symmetric": {"cimd-jwt-algs"},
    "authorize-refuses": {"authorize-code"},
    "cimd-redirect": DOCUMENTS - {"cimd-http"},
    "logout-scripted": {"logout-redirect"},
    # tokens and grants
    "client-order": set(),
    "client-credentials-invalid": {"token-client-credentials"},
    "redirect-not-compared": {"token-wrong-redirect", "token-omitted-redirect"},
    "redirect-ignored": set(),
    "revoke-wants-secret": {"revoke-refresh", "revoke-access"},
    "resource-ignored": {"resource-invalid-target", "resource-token-foreign"},
    # Of the endpoint, its tokens and its transport:
    "origin-after-token": set(),
    "at-iat-late": {"at-iat"},
    "at-no-kid": {"at-kid"},
    "id-token-unsigned": {"id-token-signature", "id-token-algorithm"},
}
# What cannot be judged at each target, though nothing is wrong there.
SKIPPED = {
    HTTPS: {"transport-host", "transport-tls-version", "transport-list-private"},
    LOOPBACK: {
        "transport-hsts",
        "transport-tls-version",
        "transport-list-private",
        "leaks-forwarded-host",
        "login-cookie-host-prefix",
    },
}
NO_SWITCH = {"transport-https", "transport-tls-version"}  # what a transport in this process does not have
ELSEWHERE = {"transport-host": LOOPBACK}


async def at_once(seconds: float) -> None:
    """Wait for nothing: the flawed server has no clock."""


async def run(
    flaw: str = "", base: str = HTTPS, spec_version: SpecVersion = "2026-07-28", target: str | None = None
) -> Report:
    outbound = Outbound(transport=FlawedServer(flaw, base).transport(), limits=LIMITS["adversarial"])
    return await audit(
        target or f"{base}/mcp",
        outbound=outbound,
        depth="adversarial",
        access_token=TOKEN,
        spec_version=spec_version,
        visitor=FormVisitor(outbound, USER, PASSWORD),
        sleep=at_once,
    )


def ids(report: Report, *statuses: str) -> set[str]:
    return {result.check.id for result in report.checks if result.status in statuses}


def test_the_table_is_sound() -> None:
    assert len(CHECKS) >= 300
    for page in ("README.md", "CHANGELOG.md"):
        assert f"{len(CHECKS)} checks" in (ROOT / page).read_text(encoding="utf-8"), page
    assert len({check.id for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert check.levels, check.id
        assert check.title, check.id
        assert check.fix.endswith("."), check.id
        assert all(source.url.startswith("https://") for source in check.sources), check.id


@pytest.mark.parametrize("base", [HTTPS, LOOPBACK])
@pytest.mark.parametrize("version", VERSIONS)
async def test_without_a_flaw_every_check_passes(base: str, version: SpecVersion) -> None:
    report = await run(base=base, spec_version=version)
    assert ids(report, "fail", "warn", "error") == set()
    asked = {result.check.id for result in report.checks}
    assert ids(report, "skip") == SKIPPED[base] & asked
    assert len(report.checks) > 45


async def test_the_passive_depth_sends_no_token_and_asks_nothing_but_the_first_question() -> None:
    server = FlawedServer()
    report = await audit(f"{HTTPS}/mcp", outbound=Outbound(transport=server.transport()), access_token=TOKEN)
    assert ids(report, "fail", "warn", "error") == set()
    assert all(result.check.depth == "passive" for result in report.checks)
    assert not any("authorization" in headers for _, _, headers in server.requests)
    assert {url for method, url, _ in server.requests if method != "GET"} == {f"{HTTPS}/mcp"}
    assert len(server.requests) == len({(m, u, tuple(sorted(h.items()))) for m, u, h in server.requests})


@pytest.mark.parametrize("check", [check for check in CHECKS if check.id not in NO_SWITCH], ids=lambda check: check.id)
async def test_each_switch_turns_its_check(check: Check) -> None:
    report = await run(check.id, ELSEWHERE.get(check.id, HTTPS), spec_version=max(check.levels))
    assert ids(report, "fail", "warn", "error") == {check.id} | ALSO.get(check.id, set())
    assert ids(report, "error") == set()


@pytest.mark.parametrize(("switch", "expected"), OTHERS.items())
async def test_each_other_switch_turns_what_is_named(switch: str, expected: set[str]) -> None:
    assert ids(await run(switch), "fail", "warn", "error") == expected


async def test_plain_http_is_found_everywhere() -> None:
    assert ids(await run(base=PLAIN), "fail", "warn", "error") == {
        "transport-https",
        "prm-resource-form",
        "prm-authorization-servers",
        "challenge-resource-metadata",
        "asm-issuer-form",
        "asm-endpoints-secure",
        "register-management-pair",
    }


async def test_a_level_decides_between_fail_and_warn() -> None:
    for version, status in (("2025-06-18", "fail"), ("2026-07-28", "warn")):
        report = await run("challenge-resource-metadata", spec_version=version)  # type: ignore[arg-type]
        assert ids(report, status) == {"challenge-resource-metadata"}


@pytest.mark.parametrize(
    ("switch", "version", "found"),
    [
        ("only-openid", "2025-06-18", {"asm-found"}),
        ("only-openid", "2025-11-25", set()),
        ("only-oauth", "2026-07-28", set()),
    ],
)
async def test_discovery_is_judged_by_its_version(switch: str, version: SpecVersion, found: set[str]) -> None:
    report = await run(switch, spec_version=version)
    assert ids(report, "fail") == found
    assert ids(report, "error") == set()


@pytest.mark.parametrize(
    ("switch", "skipped"),
    [
        ("register-closed", {"register-javascript", "register-http", "register-fragment", "register-no-redirect"}),
        ("client-first", {"token-unsupported-grant", "token-missing-grant", "token-duplicate"}),
        ("login-first", {"authorize-unknown-client", "authorize-unknown-status", "authorize-missing-client"}),
        ("open", {"challenge-status", "challenge-scheme", "bearer-garbage", "bearer-query"}),
    ],
)
async def test_what_cannot_be_judged_is_skipped_with_a_reason(switch: str, skipped: set[str]) -> None:
    report = await run(switch)
    assert ids(report, "fail", "error") == set()
    assert skipped <= ids(report, "skip")
    assert all(len(result.summary) > 10 for result in report.checks if result.status == "skip")


async def test_an_origin_is_a_target_too() -> None:
    report = await run(target=HTTPS)
    assert ids(report, "fail", "warn", "error") == set()
    assert report.target == HTTPS


async def test_an_origin_without_an_endpoint_is_judged_as_an_authorization_server() -> None:
    report = await run("prm-found", target=HTTPS)
    assert "asm-found" in ids(report, "pass")


async def test_an_issuer_with_a_path_is_looked_for_in_the_order_of_the_specification() -> None:
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(str(request.url))
        if "protected-resource" in request.url.path:
            return httpx2.Response(200, json={"resource": f"{HTTPS}/mcp", "authorization_servers": [f"{HTTPS}/tenant"]})
        if request.url.path == "/tenant/.well-known/openid-configuration":
            return httpx2.Response(200, json={"issuer": f"{HTTPS}/tenant"})
        return httpx2.Response(404)

    report = await audit(f"{HTTPS}/mcp", outbound=Outbound(transport=httpx2.MockTransport(answer)))
    assert {"asm-found", "asm-issuer-exact", "oidc-issuer"} <= ids(report, "pass")
    order = [
        f"{HTTPS}/.well-known/oauth-authorization-server/tenant",
        f"{HTTPS}/.well-known/openid-configuration/tenant",
        f"{HTTPS}/tenant/.well-known/openid-configuration",
    ]
    assert list(dict.fromkeys(url for url in asked if url in order)) == order


async def test_what_was_registered_by_a_careless_server_is_deleted() -> None:
    server = FlawedServer("register-javascript")
    outbound = Outbound(transport=server.transport(), limits=LIMITS["adversarial"])
    report = await audit(f"{HTTPS}/mcp", outbound=outbound, depth="adversarial")
    (result,) = (result for result in report.checks if result.check.id == "register-javascript")
    assert (result.status, server.state.clients, report.left) == ("fail", {}, ())
    assert "hunter2" not in str(report.as_dict())
    assert "r" * 20 not in str(report.as_dict())
