"""The authorization endpoint as servers really have it, and as a hostile one answers."""

import json

import httpx2
import pytest
from flawed_odd import BASE, at_once, judged, odd, result, same, status
from flawed_server import FlawedServer
from flawed_state import PASSWORD, USER
from flawed_state import Client as Registered

from oauth_server.compliance import Report, SpecVersion, audit
from oauth_server.compliance.form_visitor import FormVisitor
from oauth_server.compliance.parties import Client
from oauth_server.compliance.visitor import Visit
from oauth_server.compliance.walk import PATIENCE

REDIRECT = "http://127.0.0.1:8765/callback"
PKCE = ("pkce-required", "pkce-empty", "pkce-plain-refused", "pkce-method-missing", "pkce-method-unknown")


class Person:
    """A person with a browser of their own, which tells nothing but where it ended."""

    redirect_uri = REDIRECT
    watches = False

    def __init__(self, inner: FormVisitor) -> None:
        self.inner = inner
        self.asked: list[str] = []

    async def visit(self, url: str) -> Visit:
        self.asked.append(url)
        return Visit((await self.inner.visit(url)).location)


def ids(report: Report, *statuses: str) -> set[str]:
    return {item.check.id for item in report.checks if item.status in statuses}


async def run(flaw: str = "", **options: object) -> Report:
    return (await judged(same, flaw, **options))[0]


# Who signs in


@pytest.mark.parametrize("check", PKCE)
async def test_without_anybody_who_signs_in_a_refusal_is_seen_and_the_lack_of_one_is_not_guessed(check: str) -> None:
    right, flawed = await run(visitor=None), await run(check, visitor=None)
    assert status(right, check) == "pass"
    assert result(flawed, check).summary == "somebody has to sign in before the request is judged"
    assert ids(right, "fail", "warn", "error") == ids(flawed, "fail", "warn", "error") == set()


async def test_without_anybody_who_signs_in_a_request_that_is_followed_is_found() -> None:
    report = await run("authorize-authenticates", visitor=None)
    assert ids(report, "fail") == {"authorize-authenticates"}


async def test_a_wrong_password_accuses_nobody() -> None:
    server = FlawedServer()
    outbound = odd(server, same)
    visitor = FormVisitor(outbound, USER, "another one")
    report = await audit(f"{BASE}/mcp", outbound=outbound, depth="adversarial", visitor=visitor, sleep=at_once)
    assert ids(report, "fail", "warn", "error") == set()
    assert "authorize-code" in ids(report, "skip")
    attempts = [url for method, url, _ in server.requests if method == "POST" and "/authorize" in url]
    assert len(attempts) <= 3


async def test_a_person_is_asked_ten_times_at_most_and_never_for_what_should_be_refused() -> None:
    server = FlawedServer()
    outbound = odd(server, same)
    person = Person(FormVisitor(outbound, USER, PASSWORD))
    report = await audit(f"{BASE}/mcp", outbound=outbound, depth="adversarial", visitor=person, sleep=at_once)
    assert ids(report, "fail", "warn", "error") == set()
    assert {"authorize-code", "authorize-state", "iss-exact", "pkce-required"} <= ids(report, "pass")
    assert {"authorize-not-307", "consent-csrf", "consent-shows-host", "login-not-framed"} <= ids(report, "skip")
    assert all("redirect_uri=http%3A%2F%2F127.0.0.1%3A8765%2Fcallback" in url for url in person.asked)
    assert len(person.asked) == PATIENCE


@pytest.mark.parametrize("flaw", ["", "redirect-path-suffix", "pkce-required"])
async def test_a_client_that_the_operator_registered_serves_where_registration_is_closed(flaw: str) -> None:
    server = FlawedServer(flaw)
    metadata = {"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none", "client_name": "Known"}
    server.state.clients["known"] = Registered("known", metadata)

    def closed(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        return httpx2.Response(401) if request.url.path == "/register" else response

    outbound = odd(server, closed)
    report = await audit(
        f"{BASE}/mcp",
        outbound=outbound,
        depth="adversarial",
        visitor=FormVisitor(outbound, USER, PASSWORD),
        client=Client("known", REDIRECT),
        sleep=at_once,
    )
    assert ids(report, "fail") == ({flaw} if flaw else set())
    assert {"authorize-code", "redirect-unregistered", "redirect-host-suffix", "login-not-framed"} <= ids(
        report, "pass"
    )
    assert {"register-works", "redirect-port", "consent-shows-host"} <= ids(report, "skip")


# Servers that are right in another way


def careful(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    """Show a page, before anyone has signed in, in place of each redirect with an error (RFC 9700 section 4.11.2)."""
    error = "error=" in response.headers.get("location", "")
    if request.url.path == "/authorize" and error and "cookie" not in request.headers:
        return httpx2.Response(400, headers={"Content-Type": "text/html"}, text="<p>You would go to 127.0.0.1</p>")
    return response


ERRORS = {"authorize-error-to-client", "authorize-state-on-error", "authorize-error-characters", "iss-error"}


async def test_page_before_a_sign_in_is_no_answer_and_the_request_is_made_again_after_it() -> None:
    report, _ = await judged(careful)
    assert ids(report, "fail", "warn", "error") == set()
    assert {*ERRORS, "authorize-prompt-none"} <= ids(report, "pass")
    for flaw in ERRORS:
        found, _ = await judged(careful, {"iss-error": "iss-error"}.get(flaw, flaw))
        assert flaw in ids(found, "fail", "warn"), flaw


async def test_page_before_a_sign_in_is_not_held_against_a_server_to_which_nobody_signs_in() -> None:
    report, _ = await judged(careful, visitor=None)
    assert ids(report, "fail", "warn", "error") == set()
    assert {*ERRORS, "authorize-prompt-none"} <= ids(report, "skip")
    assert result(report, "authorize-error-to-client").summary == (
        "an error page is shown before anyone has signed in, which is right, and nobody signs in"
    )


async def test_server_that_keeps_no_session_is_not_accused_of_its_pages_before_a_sign_in() -> None:
    def forgetful(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        if "code=" in response.headers.get("location", ""):
            response.headers["Set-Cookie"] = "__Host-session=; Max-Age=0; Path=/; Secure"
        return careful(request, response)

    report, _ = await judged(forgetful)
    assert ids(report, "fail", "error") == set()
    assert ids(report, "skip") >= ERRORS


async def test_plain_may_be_accepted_where_it_is_advertised() -> None:
    def plain(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        if not request.url.path.startswith("/.well-known/o"):
            return response
        members = {**response.json(), "code_challenge_methods_supported": ["S256", "plain"]}
        return httpx2.Response(200, json=members)

    report, _ = await judged(plain, "pkce-plain-refused")
    assert {status(report, name) for name in ("pkce-plain-refused", "pkce-method-missing")} == {"skip"}


async def test_a_form_of_another_site_is_harmless_where_cookies_stay_at_home() -> None:
    report = await run("consent-csrf-samesite")
    assert ids(report, "fail", "warn", "error") == set()
    assert "SameSite" in result(report, "consent-csrf").summary


async def test_what_scripts_draw_is_not_judged() -> None:
    def scripted(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        if b"<form" not in response.content:
            return response
        headers = {"Content-Type": "text/html", "X-Frame-Options": "deny"}
        return httpx2.Response(200, headers=headers, content=response.content + b"<script>draw()</script>")

    for flaw in ("consent-shows-host", "consent-shows-client-name"):
        report, _ = await judged(scripted, flaw)
        assert "scripts draw the page" in result(report, flaw).summary


@pytest.mark.parametrize(
    ("version", "status_there"), [("2025-06-18", "warn"), ("2025-11-25", "skip"), ("2026-07-28", "skip")]
)
async def test_the_host_is_asked_for_where_client_documents_are(version: SpecVersion, status_there: str) -> None:
    def without(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        if not request.url.path.startswith("/.well-known/o"):
            return response
        return httpx2.Response(200, json={**response.json(), "client_id_metadata_document_supported": False})

    report, _ = await judged(without, "consent-shows-host", version)
    assert status(report, "consent-shows-host") == status_there
    assert {item.status for item in report.checks if item.check.id.startswith("cimd-")} <= {"skip", "pass"}


async def test_an_error_page_is_a_refusal_and_strands_the_client() -> None:
    report = await run("authorize-error-to-client")
    assert {"authorize-response-type", "authorize-scope-garbage", "pkce-required"} <= ids(report, "pass")
    assert ids(report, "warn") == {"authorize-error-to-client"}
    assert {"authorize-state-on-error", "iss-error"} <= ids(report, "skip")


async def test_an_error_in_the_fragment_is_right_for_a_response_type_that_answers_there() -> None:
    def fragment(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        if request.url.params.get("response_type") != "token":
            return response
        location = response.headers["location"].replace("?", "#")
        return httpx2.Response(303, headers={"Location": location})

    report, _ = await judged(fragment)
    assert ids(report, "fail", "warn", "error") == set()
    assert status(report, "authorize-response-type") == "pass"


async def test_access_that_is_denied_accuses_nobody() -> None:
    def denying(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        if request.url.path != "/authorize" or "scope" in request.url.params:
            return response
        return httpx2.Response(303, headers={"Location": f"{REDIRECT}?error=access_denied"})

    report, _ = await judged(denying)
    assert status(report, "authorize-scope-omitted") == "skip"


async def test_a_breakdown_is_never_a_refusal() -> None:
    def breaking(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        refusing = request.url.path == "/authorize" and (
            "error=" in response.headers.get("location", "") or response.status_code == 400
        )
        return httpx2.Response(500) if refusing else response

    report, _ = await judged(breaking)
    expected = {*PKCE, "redirect-unregistered", "redirect-duplicate", "authorize-response-type", "cimd-http"}
    assert expected <= ids(report, "fail")


# Hostile answers


@pytest.mark.parametrize(
    "location",
    [
        "",
        "//",
        "http://[",
        "https://a:b/",
        "javascript:alert(1)",
        "\\\\evil.invalid",
        "?" + "a=1&" * 5000,
        "http://127.0.0.1:8765/callback?code=" + "x" * 5000,
        "http://127.0.0.1:8765/callback?code=a&code=b&state=%ff%00&iss=%0d%0a#error=x",
        "http://127.0.0.1:8765/callback?error=%1b[2J&error_description=%e2%80%ae",
    ],
)
async def test_a_redirect_to_anywhere_ends_in_a_report(location: str) -> None:
    def leading(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        if request.url.path != "/authorize":
            return response
        return httpx2.Response(302, headers={"Location": location, "Set-Cookie": "a"})

    report, _ = await judged(leading)
    assert not [item.summary for item in report.checks if "check itself failed" in item.summary]
    json.dumps(report.as_dict())


@pytest.mark.parametrize(
    ("page", "cookie"),
    [
        (b"", ""),
        (b"<" * 50_000, "="),
        (b"<div>" * 20_000, ";;;"),
        (b"<![x" * 2000, "a=b; SameSite"),
        (b"\xff\xfe<form>", "a=b; Max-Age=x; Expires=1970"),
        (b"<form method=post>" + b"<input " * 5000, "x" * 9000),
    ],
)
async def test_a_page_of_any_shape_ends_in_a_report(page: bytes, cookie: str) -> None:
    def showing(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        if request.url.path != "/authorize":
            return response
        headers = {"Content-Type": "text/html", "Set-Cookie": cookie, "Content-Security-Policy": ";frame-ancestors"}
        return httpx2.Response(200, headers=headers, content=page)

    report, _ = await judged(showing)
    assert not [item.summary for item in report.checks if "check itself failed" in item.summary]
