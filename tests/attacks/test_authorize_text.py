"""Text from outside is shown, and never acts: in pages, in descriptions and in headers."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import quote

import pytest

from tests.support.authorize import add_user, browser_of, consent_page, redirected_error, refused, registered, shown
from tests.support.browser import Browser, form_of
from tests.support.databases import Template
from tests.support.oauth import OAuthClient, Pkce
from tests.support.server import Running, running

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    '"><script>alert(1)</script>',
    "'-alert(1)-'",
    "{{7*7}}${7*7}",
    "</title><meta http-equiv=refresh content=0>",
    "</form><form action=https://evil.example>",
]
MARKUP = re.compile(r"<img|<script|<meta http-equiv|evil\.example>|>49<")
HIDING = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\x00-\x09\x0b-\x1f\x7f]")


@pytest.fixture(scope="module")
async def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """One server for the module: its tests look at what they change themselves."""
    async with running(template, tmp_path_factory.mktemp("server")) as found:
        yield found


def inert(html: str) -> str:
    """The page, in which nothing of HOSTILE became markup and nothing hides or turns round."""
    assert not MARKUP.search(html), html
    assert not HIDING.search(html), html
    return html


@pytest.mark.requirement("attack-20")
@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_parameter_is_escaped_on_the_error_page(client: OAuthClient, text: str) -> None:
    inert(refused(await client.http.get(client.url(Pkce.new(), client_id=text))))
    inert(refused(await client.http.get(client.url(Pkce.new(), redirect_uri=text))))
    name = quote(text)
    page = inert(refused(await client.http.get(f"{client.url(Pkce.new())}&{name}=1&{name}=2")))
    assert "appears more than once" in page


@pytest.mark.requirement("attack-20")
@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_parameter_is_escaped_in_the_forms(browser: Browser, client: OAuthClient, text: str) -> None:
    url = client.url(Pkce.new(), login_hint=text, state=text, nonce=text, unheard_of=text, claims=text)
    page = await browser.http.get(url)
    inert(shown(page))
    form = form_of(page.text)  # exactly one
    assert re.match(r"/s/[\w-]{22}/oauth/authorize\?", form.action)
    assert form.fields["username"] == text
    page = await browser.submit(page, {"username": text, "password": text})
    inert(shown(page, 400))
    assert form_of(page.text).fields["username"] == text
    inert(shown(await browser.sign_in(page)))


@pytest.mark.requirement("attack-20", "attack-30")
@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_client_name_is_text_on_every_page(
    server: Running, browser: Browser, closing: AsyncExitStack, name: str
) -> None:
    client = await registered(closing, server, client_name=name)
    page = await browser.http.get(client.url(Pkce.new()))
    inert(shown(page))
    page = await browser.sign_in(page)
    inert(shown(page))
    inert(shown(await browser.http.get(f"/oauth/logout?client_id={client.client_id}")))


@pytest.mark.requirement("attack-20")
@pytest.mark.parametrize(
    ("name", "visible"),
    [
        ("\u202eedualC", "\ufffdedualC"),
        ("Cl\u200bau\u200dde", "Cl\ufffdau\ufffdde"),
        ("\u2067\u2066Claude\u2069", "\ufffdClaude\ufffd"),
        ("Claude\n\nYou are safe", "Claude You are safe"),
        ("\u3164\u2800", "\ufffd"),
        ("x" * 500, "x" * 79 + "\u2026"),
    ],
    ids=ascii,
)
async def test_client_name_that_hides_or_turns_round_is_shown_bare(
    server: Running, browser: Browser, closing: AsyncExitStack, name: str, visible: str
) -> None:
    client = await registered(closing, server, client_name=name)
    for page in (await browser.http.get(client.url(Pkce.new())), await consent_page(browser, client.url(Pkce.new()))):
        assert f'<bdi class="name">{visible}</bdi>' in inert(shown(page))


@pytest.mark.requirement("attack-20")
async def test_client_name_of_look_alike_letters_does_not_hide_who_asks(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    client = await registered(
        closing,
        server,
        client_name="\u0421l\u0430ude",  # Cyrillic Es and a
        client_uri="https://xn--clude-5ve.example/",
        redirect_uris=["https://evil.example/cb"],
    )
    html = shown(await consent_page(browser, client.url(Pkce.new())))
    assert "Nobody has verified it." in html
    assert "<bdi>evil.example</bdi>" in html
    assert "<bdi>xn--clude-5ve.example</bdi>" in html
    assert client.client_id in html


@pytest.mark.requirement("attack-20")
@pytest.mark.parametrize("text", [*HOSTILE, 'q"uote', "back\\slash", "n\u00f6n-\u0430scii", "\r\nX: 1"], ids=ascii)
async def test_description_sent_to_the_client_has_only_the_characters_it_may_have(
    client: OAuthClient, text: str
) -> None:
    for params, error in (
        ({"response_type": text}, "unsupported_response_type"),
        ({"resource": text}, "invalid_target"),
        ({"prompt": text}, "invalid_request"),
        ({"max_age": text}, "invalid_request"),
        ({"code_challenge": text}, "invalid_request"),
        ({"response_mode": text}, "invalid_request"),
    ):
        # redirected_error checks the characters (OAuth 2.1 section 4.1.2.1).
        redirected_error(await client.http.get(client.url(Pkce.new(), **params)), client, error)


@pytest.mark.requirement("attack-20")
async def test_hostile_user_name_is_text(server: Running, client: OAuthClient, closing: AsyncExitStack) -> None:
    await add_user(server, "<script>alert(1)</script>")
    alice = browser_of(closing, server, "<script>alert(1)</script>")
    inert(shown(await consent_page(alice, client.url(Pkce.new()))))
    inert(shown(await alice.http.get("/oauth/logout")))
