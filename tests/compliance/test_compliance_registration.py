"""Registration as servers really do it: closed, limited, replacing, unreadable."""

import json
from typing import Any

import httpx2
import pytest
from flawed_odd import judged, result, status

from oauth_server.compliance import Report

NEGATIVE = ("javascript", "data", "http", "fragment", "relative", "no-redirect", "wrong-type", "logo-script")
ODD: list[Any] = [None, 1, True, "", "x\ud800", "\x1b[2J", [], [[]], {}, {"a": [{}]}, [1, None], "http://[", 10**400]

STATED = (
    "client_secret",
    "client_secret_expires_at",
    "grant_types",
    "token_endpoint_auth_method",
    "registration_client_uri",
    "registration_access_token",
)


def registers(request: httpx2.Request) -> bool:
    return request.method == "POST" and request.url.path == "/register"


def asked_for(request: httpx2.Request) -> Any:
    try:
        return json.loads(request.content)
    except ValueError:
        return {}


async def test_a_server_that_limits_registrations_is_not_accused() -> None:
    def limited(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        refused = registers(request) and asked_for(request).get("client_name", "").endswith("refuse me")
        return httpx2.Response(429) if refused else response

    report, _ = await judged(limited)
    for name in NEGATIVE:
        assert result(report, f"register-{name}").summary == "registration asks for patience", name


async def test_a_redirect_uri_that_the_server_replaced_was_not_registered() -> None:
    def replacing(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        if not registers(request) or response.status_code != 400 or b"javascript:" not in request.content:
            return response
        return httpx2.Response(201, json={"client_id": "1", "redirect_uris": ["https://client.invalid/callback"]})

    report, _ = await judged(replacing)
    assert status(report, "register-javascript") == "pass"
    assert "The client 1 stays registered" in str(report.left)


async def test_a_refusal_by_another_code_is_a_refusal() -> None:
    def terse(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        return httpx2.Response(422, json={"detail": "no"}) if response.status_code == 400 else response

    report, _ = await judged(terse)
    assert {status(report, f"register-{name}") for name in NEGATIVE} == {"pass"}
    assert status(report, "register-error") == "fail"


async def test_a_reply_that_cannot_be_read_is_said_to_have_left_a_client() -> None:
    def broken(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        return httpx2.Response(201, content=b"{") if registers(request) else response

    report, _ = await judged(broken)
    assert report.left == ("A client stays registered: the answer to its registration could not be read.",)
    assert status(report, "register-client-id") == "skip"


async def test_a_connection_that_is_cut_over_a_large_body_says_nothing() -> None:
    def cutting(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        if len(request.content) > 100_000:
            raise httpx2.WriteError("cut")
        return response

    report, _ = await judged(cutting)
    assert status(report, "register-large") == "skip"


async def test_a_registration_token_that_is_replaced_when_it_is_used_is_followed() -> None:
    rotated: dict[str, str] = {}

    def rotating(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        if request.method == "GET" and request.url.path.startswith("/register/") and response.status_code == 200:
            rotated[request.url.path] = "r" * 30
            return httpx2.Response(200, json={**response.json(), "registration_access_token": "r" * 30})
        if request.method == "DELETE" and request.url.path in rotated:
            right = request.headers["authorization"] == f"Bearer {rotated[request.url.path]}"
            return httpx2.Response(204 if right else 401)
        return httpx2.Response(401) if request.url.path in rotated else response

    report, _ = await judged(rotating)
    assert (status(report, "register-management-read"), status(report, "register-management-delete")) == (
        "pass",
        "pass",
    )
    assert "r" * 30 not in str(report.as_dict())


@pytest.mark.parametrize("value", ODD, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("members", [("client_id",), ("redirect_uris", "client_name"), STATED], ids=len)
async def test_a_reply_of_any_type_ends_in_a_report(members: tuple[str, ...], value: Any) -> None:
    def odd_reply(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        if not registers(request) or response.status_code != 201:
            return response
        return httpx2.Response(201, content=json.dumps({**response.json(), **dict.fromkeys(members, value)}).encode())

    assert_sound((await judged(odd_reply))[0])


def assert_sound(report: Report) -> None:
    assert not [item.summary for item in report.checks if "check itself failed" in item.summary]
    json.dumps(report.as_dict())


@pytest.mark.parametrize("body", [b"[" * 50_000, b'{"a":' * 50_000, b"null", b"[]", b"\xff", b"x" * 300_000])
async def test_a_reply_that_is_none_ends_in_a_report(body: bytes) -> None:
    def odd_reply(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        return httpx2.Response(201, content=body) if "/register" in request.url.path else response

    assert_sound((await judged(odd_reply))[0])


async def test_the_clients_of_a_run_are_all_taken_back() -> None:
    report, server = await judged(lambda _, response: response)
    assert server.state.clients == {}
    assert report.left == ()
    assert server.deleted > 5


async def test_without_a_registration_endpoint_nothing_of_it_is_judged() -> None:
    def closed(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        if not request.url.path.startswith("/.well-known/oauth-authorization"):
            return response
        return httpx2.Response(200, json={**response.json(), "registration_endpoint": None})

    report, _ = await judged(closed)
    found = {item.status for item in report.checks if item.check.id.startswith("register-")}
    assert found == {"skip"}
