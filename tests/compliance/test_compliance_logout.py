"""Signing out at servers whose page does the redirect, and at servers whose page asks first or stays."""

import httpx2
import pytest
from flawed_odd import judged, result

BUTTON = "<button type=button onclick='document.forms[0].submit()'>Sign out</button>"
HIDDEN = "<input type=hidden name=xsrf value=s3cr3t>"
NOSCRIPT = "<noscript><button>Continue</button></noscript>"
SENDS = "<script>onload = () => document.forms[0].submit()</script>"
OUT = "https://client.invalid/signed-out"


class Logout:
    """A logout page of another kind; takes note of what comes back from it."""

    def __init__(self, page: str, location: str = OUT) -> None:
        self.page = page
        self.location = location
        self.sent: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        if request.url.path == "/logout":
            cookies = [("Content-Type", "text/html"), ("Set-Cookie", "out=1; Path=/"), ("Set-Cookie", "x=2; Secure")]
            return httpx2.Response(200, headers=cookies, text=f"<!doctype html>{self.page}")
        if request.url.path == "/logout/confirm":
            self.sent.append(request)
            return httpx2.Response(303, headers={"Location": self.location})
        return response


@pytest.mark.parametrize(
    "page",
    [
        f"<form method=post action=/logout/confirm>{HIDDEN}{NOSCRIPT}</form>{SENDS}",
        f"<body onload='document.forms[0].requestSubmit()'><form method=post action=/logout/confirm>{HIDDEN}</form>",
        f"<form action=/logout/confirm>{HIDDEN}</form>{SENDS}",
    ],
)
async def test_a_page_that_sends_its_form_itself_is_followed(page: str) -> None:
    server = Logout(page)
    report, _ = await judged(server)
    assert result(report, "logout-redirect").status == "warn"
    (request,) = server.sent
    assert request.headers["cookie"] == "out=1; x=2"
    assert b"s3cr3t" in request.url.query + request.content


async def test_a_page_that_sends_a_form_to_the_registered_address_is_found() -> None:
    report, _ = await judged(Logout(f"<form method=post action={OUT}>{HIDDEN}</form>{SENDS}"))
    assert result(report, "logout-redirect").status == "warn"


@pytest.mark.parametrize(
    ("page", "location"),
    [
        (f"<form method=post action=/logout/confirm>{HIDDEN}{BUTTON}</form>", OUT),  # somebody is asked
        (f"<form id=f method=post action=/logout/confirm>{HIDDEN}</form>{BUTTON}", OUT),
        (f"<form method=post action=/logout/confirm>{HIDDEN}</form>", OUT),  # nothing sends it
        (f"<form method=post action=/logout/confirm>{HIDDEN}</form>{SENDS}", "/signed-out"),  # stays at the server
        ("<p>You are signed out</p>", OUT),
    ],
)
async def test_a_page_that_asks_or_stays_passes(page: str, location: str) -> None:
    server = Logout(page, location)
    report, _ = await judged(server)
    assert result(report, "logout-redirect").status == "pass"
    assert len(server.sent) == (location != OUT)


@pytest.mark.parametrize("action", ["http://[", "https://client.invalid:port/", "javascript:0", "/logout/confirm"])
async def test_a_hostile_page_is_no_error(action: str) -> None:
    server = Logout(f"<form method=post action='{action}'>{HIDDEN}</form>{SENDS}", "http://[")

    def change(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        answer = server(request, response)
        if request.url.path == "/logout":
            cookies = [(b"Set-Cookie", b"a=\xff\xc3\xa9"), (b"Set-Cookie", b"=;;"), (b"Content-Type", b"text/html")]
            return httpx2.Response(200, headers=cookies, content=answer.content)
        return answer

    report, _ = await judged(change)
    found = result(report, "logout-redirect")
    assert (found.status, found.summary) == ("pass", f"The browser stays: {303 if server.sent else 200}")
