"""What an answer of the authorization endpoint says: authorization responses and the cookies of a session."""

import pytest

from oauth_server.compliance.checks.cookies import session_cookies
from oauth_server.compliance.model import Exchange
from oauth_server.compliance.parties import Asked, Client
from oauth_server.compliance.visitor import Visit
from oauth_server.outbound import Answer

BASE = "https://mcp.example"
REDIRECT = "http://127.0.0.1:8765/callback"


def answer(status_code: int, *headers: tuple[str, str]) -> Exchange:
    return Exchange("POST", Answer(f"{BASE}/authorize", status_code, headers, b"", truncated=False, elapsed=0.0))


def asked(location: str, arrived: str = "") -> Asked:
    return Asked(Client("c", REDIRECT), "", "st", BASE, Visit(arrived, (answer(302, ("Location", location)),)), {})


@pytest.mark.parametrize(
    ("location", "sent"),
    [
        ("https://client.invalid/cb?code=1&state=st", {"code": ["1"], "state": ["st"]}),
        ("https://client.invalid/cb#code=1&state=st", {"code": ["1"], "state": ["st"]}),
        ("https://client.invalid/cb#evil?code=1&state=st", {"code": ["1"], "state": ["st"]}),
        ("https://client.invalid/cb?code=1&state=another", {}),
        ("https://idp.example/login?state=st&client_id=c", {}),
        ("/login", {}),
        ("http://[", {}),
    ],
)
def test_a_response_is_known_by_its_state_wherever_it_goes(location: str, sent: dict[str, list[str]]) -> None:
    assert asked(location).sent == sent


def test_the_cookies_of_a_session_are_those_of_the_answer_to_the_login() -> None:
    trail = (
        answer(200, ("Set-Cookie", "before=1; HttpOnly")),
        answer(303, ("Location", "/next"), ("Set-Cookie", "gone=; Max-Age=0"), ("Set-Cookie", "lang=en")),
        answer(303, ("Location", "/page"), ("Set-Cookie", "sid=2; HttpOnly; SameSite=Lax")),
        answer(200, ("Set-Cookie", "after=3")),
    )
    assert [cookie.name for cookie in session_cookies(Visit("", trail, 1))] == ["lang", "sid"]
    assert session_cookies(Visit("", trail)) == session_cookies(None) == []
