"""The visitor without a browser: it signs in and approves at real pages, and gives nothing away to hostile ones."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from urllib.parse import parse_qsl

import httpx2
import pytest

from oauth_server.compliance.form_visitor import STEPS, FormVisitor
from oauth_server.compliance.forms import MOST_FORMS, MOST_PARTS, forms_of
from oauth_server.compliance.inert import inert
from oauth_server.compliance.visitor import Visit
from oauth_server.outbound import Outbound, OutboundError
from tests.conftest import MakeServer
from tests.support.browser import query_of
from tests.support.issuers import both_issuers
from tests.support.oauth import OAuthClient, Pkce
from tests.support.proxy import TlsProxy
from tests.support.server import OWNER, PASSWORD, Running

AS = "https://as.example"
CALLBACK = FormVisitor.redirect_uri
SECRET = "hunter2 & more"
LOGIN = (
    '<form method="post" action="/login"><input type="hidden" name="csrf" value="1"><input name="username">'
    '<input type="password" name="password"><button>Sign in</button></form>'
)
Answering = Callable[[httpx2.Request], httpx2.Response]


def page(body: str, status: int = 200, **headers: str) -> httpx2.Response:
    return httpx2.Response(status, html=body, headers=headers)


def to(location: str, status: int = 302) -> httpx2.Response:
    return httpx2.Response(status, headers={"Location": location})


def form(request: httpx2.Request) -> dict[str, str]:
    return dict(parse_qsl(request.content.decode(), keep_blank_values=True))


class Site:
    """A hand-made server: the pages by method and path, and what was asked of it."""

    def __init__(self, **pages: httpx2.Response | Answering) -> None:
        self.pages = {name.replace("_", " /"): answer for name, answer in pages.items()}
        self.asked: list[httpx2.Request] = []

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        found = self.pages.get(f"{request.method.lower()} {request.url.path}") or page("nothing here", 404)
        return found if isinstance(found, httpx2.Response) else found(request)

    async def visit(self, username: str = "alice", password: str = SECRET, visitor: FormVisitor | None = None) -> Visit:
        visitor = visitor or self.visitor(username, password)
        return await visitor.visit(f"{AS}/authorize?client_id=1")

    def visitor(self, username: str = "alice", password: str = SECRET) -> FormVisitor:
        return FormVisitor(Outbound(transport=httpx2.MockTransport(self.answer)), username, password)

    @property
    def sent(self) -> list[dict[str, str]]:
        """The forms that were posted."""
        return [form(request) for request in self.asked if request.method == "POST"]


async def ours(closing: AsyncExitStack, server: Running, username: str, password: str) -> tuple[Visit, OAuthClient]:
    client = await OAuthClient.register(server, redirect_uris=[CALLBACK])
    closing.push_async_callback(client.close)
    https = server.url.startswith("https://")
    proxy = await closing.enter_async_context(TlsProxy(server.port))
    outbound = Outbound(transport=proxy) if https else Outbound(local=True)
    visitor = FormVisitor(outbound, username, password)
    visit = await visitor.visit(client.url(Pkce.new()))
    if visit.location:
        again = await visitor.visit(client.url(Pkce.new()))
        # An https issuer keeps the browser signed in; an http issuer asks for a sign-in with each request.
        assert (again.signed_in is None, len(again.trail) < len(visit.trail)) == (https, https)
        assert "code" in query_of(again.location)
    return visit, client


@both_issuers
async def test_it_signs_in_and_consents_at_this_server(closing: AsyncExitStack, server: Running) -> None:
    visit, client = await ours(closing, server, OWNER, PASSWORD)
    assert visit.location.startswith(f"{CALLBACK}?")
    found = query_of(visit.location)
    assert (found["iss"], found["state"]) == (server.url, "state-of-the-test")
    assert [exchange.method for exchange in visit.trail] == ["GET", "POST", "GET", "POST"]
    assert PASSWORD not in str(visit)
    assert client.client_id in visit.trail[0].answer.url


async def test_with_a_wrong_password_it_tries_once_and_never_again(closing: AsyncExitStack, server: Running) -> None:
    visit, _ = await ours(closing, server, OWNER, "not the password")
    assert (visit.location, [exchange.answer.status for exchange in visit.trail]) == ("", [200, 400])


async def test_without_credentials_it_stays_at_the_login(closing: AsyncExitStack, server: Running) -> None:
    visit, _ = await ours(closing, server, "", "")
    assert (visit.location, [exchange.answer.status for exchange in visit.trail]) == ("", [200])


async def test_where_the_server_approves_by_itself_it_only_follows(
    closing: AsyncExitStack, make_server: MakeServer
) -> None:
    async with make_server(MCP_OAUTH_AUTO_APPROVE=OWNER) as server:
        client = await OAuthClient.register(server, redirect_uris=[CALLBACK])
        closing.push_async_callback(client.close)
        visit = await FormVisitor(Outbound(local=True)).visit(client.url(Pkce.new()))
    assert "code" in query_of(visit.location)
    assert len(visit.trail) == 1


async def test_it_walks_the_interactions_of_oidc_provider() -> None:
    def login(request: httpx2.Request) -> httpx2.Response:
        assert request.headers["cookie"] == "_interaction=abc"
        return to("/authorize/resume" if "login" in form(request) else "/authorize/done", 303)

    def interaction(name: str) -> httpx2.Response:
        start = to(f"{AS}/interaction/{name}", 303)
        start.headers["Set-Cookie"] = f"_interaction=abc; path=/interaction/{name}; samesite=lax; httponly"
        return start

    start = '<form autocomplete="off" action="{}" method="post"><input type="hidden" name="prompt" value="{}"/>'
    fields = '<input required type="text" name="login"><input required type="password" name="password">'
    button = '<button {} type="submit" class="login login-submit">{}</button></form><a href="abort">[ Cancel ]</a>'
    site = Site()
    site.pages = {
        "get /authorize": interaction("1"),
        "get /interaction/1": page(
            start.format(f"{AS}/interaction/1", "login") + fields + button.format("", "Sign-in")
        ),
        "post /interaction/1": login,
        "get /authorize/resume": interaction("2"),
        "get /interaction/2": page(
            start.format(f"{AS}/interaction/2", "consent") + button.format("autofocus", "Continue")
        ),
        "post /interaction/2": login,
        "get /authorize/done": to(f"{CALLBACK}?code=1", 303),
    }
    assert (await site.visit()).location == f"{CALLBACK}?code=1"
    assert site.sent == [{"prompt": "login", "login": "alice", "password": SECRET}, {"prompt": "consent"}]


async def test_it_signs_in_at_the_example_of_the_python_sdk() -> None:
    body = (
        f'<form action="{AS}/login/callback" method="post"><input type="hidden" name="state" value="s">'
        '<div><label>Username:</label><input type="text" name="username" value="demo_user" required></div>'
        '<input type="password" name="password" value="demo_password" required><button type="submit">Sign In</button>'
    )
    site = Site(get_authorize=to("/login?state=s"), get_login=page(body))
    site.pages["post /login/callback"] = to(f"{CALLBACK}?code=1&state=s")
    assert (await site.visit()).location == f"{CALLBACK}?code=1&state=s"
    assert site.sent == [{"state": "s", "username": "alice", "password": SECRET}]


async def test_a_redirect_at_once_needs_nobody() -> None:
    visit = await Site(get_authorize=to(f"{CALLBACK}?code=1")).visit("", "")
    assert (visit.location, len(visit.trail)) == (f"{CALLBACK}?code=1", 1)


async def test_the_name_may_be_asked_for_before_the_password() -> None:
    named = page('<form method=post action="/name"><input name="identifier"><button>Next</button></form>')
    site = Site(get_authorize=named, post_name=page(LOGIN), post_login=to(f"{CALLBACK}?code=1"))
    assert (await site.visit()).location == f"{CALLBACK}?code=1"
    assert site.sent[0] == {"identifier": "alice"}
    assert not (await site.visit("", "")).location
    again = Site(get_authorize=named, post_name=named)
    assert len((await again.visit()).trail) == 2


@pytest.mark.parametrize(
    ("buttons", "pressed"),
    [
        ('<button name="decision" value="deny">Deny</button><button name="decision" value="approve">Go</button>', "approve"),
        ('<input type="submit" name="decision" value="Cancel"><input type="submit" name="decision" value="Allow">', "Allow"),
        ('<button name="decision" value="0">Don\'t allow</button><button name="decision" value="1">Allow</button>', "1"),
        ('<button name="allow_or_deny" value="1">Yes, grant access</button>', None),
        ('<button name="submitNo" value="x">Continue</button><button name="btnYes" value="y">!</button>', None),
        ('<button name="decision" value="1" type="button">Allow</button><button disabled>Allow</button>', ""),
        ('<button name="decision" value="disallow">Continue</button>', ""),
        ('<button name="decision" value="1">Log in with another account</button>', ""),
    ],
)  # fmt: skip
async def test_a_consent_is_approved_by_the_button_that_says_yes(buttons: str, pressed: str | None) -> None:
    body = (
        '<form method="post" action="/consent"><input type="hidden" name="csrf" value="&lt;1&gt;">'
        '<input type="checkbox" name="scope" value="a" checked><input type="checkbox" name="scope" value="b">'
        f'<input type="radio" name="for" value="day" checked><input type="radio" name="for" value="year">{buttons}</form>'
    )
    site = Site(get_authorize=page(body), post_consent=to(f"{CALLBACK}?code=1"))
    visit = await site.visit("", "")
    assert bool(visit.location) == (pressed != "")
    if pressed != "":
        sent = parse_qsl(site.asked[-1].content.decode())
        assert [pair for pair in sent if pair[0] in {"csrf", "scope", "for"}] == [
            ("csrf", "<1>"),
            ("scope", "a"),
            ("scope", "b"),
            ("for", "day"),
        ]
        assert pressed is None or ("decision", pressed) in sent
        assert pressed is not None or ("allow_or_deny", "1") in sent or ("btnYes", "y") in sent


@pytest.mark.parametrize(
    "body",
    [
        '<form method=post action="/login"><input type=password name=a><input type=password name=b><button>OK</button></form>',
        '<form method=post action="/login"><input type=password name=a autocomplete=new-password><button>OK</button></form>',
        '<form action="/login"><input name=username><input type=password name=a><button>OK</button></form>',
        LOGIN.replace("/login", "https://evil.example/login"),
        LOGIN.replace("/login", f"http{AS[5:]}/login"),
        LOGIN.replace("/login", f"{AS}:8443/login"),
        LOGIN.replace("/login", "javascript:alert(1)"),
        LOGIN.replace("/login", "https://[/login"),
        LOGIN.replace("<button>", '<button formaction="//evil.example/">'),
        "<h1>Continue</h1>",
    ],
)
async def test_a_password_is_neither_chosen_nor_put_into_a_url_nor_given_to_another_origin(body: str) -> None:
    site = Site(get_authorize=page(body))
    visit = await site.visit()
    assert (visit.location, len(visit.trail), site.sent) == ("", 1, [])


@pytest.mark.parametrize(
    ("location", "ends"),
    [
        ("https://evil.example/callback?code=1", ""),
        (f"{CALLBACK}/more?code=1", ""),
        (f"{CALLBACK}x?code=1", ""),
        ("http://127.0.0.1:8766/callback?code=1", ""),
        ("http://127.0.0.1:8765@evil.example/callback?code=1", ""),
        (f"{CALLBACK}#code=1", f"{CALLBACK}#code=1"),
        (f"{CALLBACK}?error=a b", f"{CALLBACK}?error=a%20b"),
        ("http://[", ""),
        ("javascript:alert(1)", ""),
        ("/\x1b[2J", ""),
        ("\\\\evil.example", ""),
    ],
)
async def test_a_visit_ends_at_the_redirect_uri_and_at_every_other_origin(location: str, ends: str) -> None:
    site = Site(get_authorize=httpx2.Response(302, headers=[("Location", location.encode())]))
    visit = await site.visit()
    assert visit.location == ends
    assert len(site.asked) <= 2
    assert {request.url.host for request in site.asked} == {"as.example"}


async def test_a_second_login_form_means_wrong_credentials_also_on_later_visits() -> None:
    site = Site(get_authorize=page(LOGIN), post_login=page(LOGIN))
    visitor = site.visitor()
    for _ in range(3):
        assert not (await site.visit(visitor=visitor)).location
    assert len(site.sent) == 1


async def test_an_error_page_is_not_approved() -> None:
    site = Site(get_authorize=page('<form method="post" action="/on"><button>Continue</button></form>', 400))
    assert len((await site.visit()).trail) == 1


async def test_what_never_ends_is_left_after_some_steps() -> None:
    for status in (302, 307):
        site = Site(get_authorize=to(f"{AS}/authorize", status))
        assert len((await site.visit()).trail) == len(site.asked) == STEPS
    site = Site(get_authorize=page('<form method=post action=""><button>Continue</button></form>'))
    site.pages["post /authorize"] = site.pages["get /authorize"]
    assert len((await site.visit()).trail) == STEPS


async def test_a_redirect_keeps_the_form_only_where_http_says_so() -> None:
    for status, methods in ((307, ["GET", "POST", "POST"]), (302, ["GET", "POST", "GET"])):
        site = Site(get_authorize=page(LOGIN), post_login=to("/next", status))
        await site.visit()
        assert [request.method for request in site.asked] == methods
        assert site.asked[1].headers["origin"] == AS


async def test_cookies_go_back_only_to_where_they_belong() -> None:
    cookies = ["kept=1; Path=/; HttpOnly", "elsewhere=1; Path=/other", "foreign=1; Domain=evil.example", "odd", "=;;"]
    start = httpx2.Response(200, html=LOGIN, headers=[("Set-Cookie", cookie) for cookie in cookies])
    site = Site(get_authorize=start, post_login=to(f"{CALLBACK}?code=1"))
    await site.visit()
    assert "kept=1" in site.asked[1].headers["cookie"]
    assert "elsewhere" not in site.asked[1].headers["cookie"]
    assert "foreign" not in site.asked[1].headers["cookie"]


async def test_an_echoed_password_stands_in_no_evidence() -> None:
    echo = httpx2.Response(302, headers={"Location": "/again?pw=hunter2%20%26%20more", "X-Echo": SECRET})
    again = page("<p>hunter2 &amp; more</p><p>hunter2 & more</p>")
    site = Site(get_authorize=page(LOGIN), post_login=echo, get_again=again)
    visit = await site.visit()
    assert len(visit.trail) == 3
    assert "hunter2" not in "".join(inert(str(exchange), 4000) for exchange in visit.trail)
    site.pages["post /login"] = to("/again?pw=hunter2+%26+more")
    assert "hunter2" not in str(await site.visit())
    site.pages["post /login"] = to(f"{CALLBACK}?code=hunter2+%26+more")
    assert (await site.visit()).location == f"{CALLBACK}?code=[redacted]"


async def test_a_server_that_does_not_answer_is_an_outbound_error_without_the_password() -> None:
    def gone(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError(f"no way to {SECRET}")

    with pytest.raises(OutboundError, match="no way to") as raised:
        await Site(get_authorize=page(LOGIN), post_login=gone).visit()
    assert "hunter2" not in raised.value.reason


@pytest.mark.parametrize(
    "part",
    [
        "<!--",
        "<a ",
        '<a x="',
        "<?",
        "<![CDATA[",
        "<",
        "</",
        "<form><input name=a>",
        "<form></form>",
        "<![x",
        "&#",
        "<form>\x00<b",
    ],
)
def test_a_hostile_page_costs_no_time_and_is_bounded(part: str) -> None:
    started = time.monotonic()
    forms = forms_of(part * 200_000)
    assert time.monotonic() - started < 3
    assert len(forms) <= MOST_FORMS
    assert sum(len(form.fields) for form in forms) <= MOST_PARTS


def test_forms_are_read_as_browsers_read_them() -> None:
    (found, second) = forms_of(
        '<input name="outside"><form ACTION="/a" action="/b" method="POST"><form action="/nested">'
        "<select name=s><option value=1>1<option value=2 selected>2</select><textarea name=t>a &lt; b</textarea>"
        "<input name=off disabled><input type=file name=f><input type=reset name=r><input type=checkbox name=c></form>"
        "<form><select name=s><option value=1><option value=2></select>"
    )
    assert (found.action, found.method) == ("/a", "post")
    assert found.sent(None, {}, tick=True) == [("s", "2"), ("t", "a < b"), ("c", "on")]
    assert second.sent(None, {}, tick=True) == [("s", "1")]


@pytest.mark.parametrize("foreign", [True, False])
async def test_a_followed_link_presses_nothing_and_takes_along_what_a_browser_would(foreign: bool) -> None:
    cookies = [("Set-Cookie", "strict=1; Path=/; SameSite=Strict"), ("Set-Cookie", "lax=1; Path=/; SameSite=Lax")]
    site = Site(
        get_authorize=httpx2.Response(302, headers=[("Location", f"{AS}/consent"), *cookies]),
        get_consent=page('<form method="post"><button name="decision" value="approve">Allow</button></form>'),
    )
    visitor = site.visitor()
    await visitor.follow(f"{AS}/authorize", foreign=False)
    del site.asked[:]
    visit = await visitor.follow(f"{AS}/authorize", foreign=foreign)
    assert [request.method for request in site.asked] == ["GET", "GET"]
    assert visit.location == ""
    sent = [request.headers["Sec-Fetch-Site"] for request in site.asked]
    assert sent == (["cross-site", "cross-site"] if foreign else ["none", "same-origin"])
    assert {request.headers["Cookie"] for request in site.asked} == {"lax=1" if foreign else "strict=1; lax=1"}
