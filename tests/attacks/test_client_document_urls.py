"""URLs as client identifiers: one spelling, a public name, and nothing inside the network is ever asked."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_server.core.document_urls import host_of, is_url, problem_of
from oauth_server.outbound import Limits, Outbound
from tests.support.authorize import consent_page, refused
from tests.support.browser import Browser
from tests.support.clock import ManualClock
from tests.support.databases import Template
from tests.support.oauth import OAuthClient, Pkce
from tests.support.publisher import Publisher, documented
from tests.support.server import Running, running

GOOD = [
    "https://editor.example/client.json",
    "https://editor.example/a/b/c",
    "https://editor.example:8443/client.json",
    "https://xn--bcher-kva.example/client",
    "https://editor.example/client?version=2",
    "https://editor.example/.well-known/oauth-client",
    "https://editor.example/%7Eme/client",
    "https://editor.example//client",
]
BAD = [
    "http://editor.example/client.json",
    "HTTPS://editor.example/client.json",
    "ftp://editor.example/client.json",
    "javascript://editor.example/%0aalert(1)",
    "https://editor.example",
    "https://editor.example/",
    "https://editor.example?x",
    "https://editor.example/./client.json",
    "https://editor.example/a/../client.json",
    "https://editor.example/a/%2e%2e/client.json",
    "https://editor.example/a/.%2E/client.json",
    "https://editor.example/%2e",
    "https://editor.example/client.json#fragment",
    "https://editor.example/client.json#",
    "https://user@editor.example/client.json",
    "https://user:secret@editor.example/client.json",
    "https://@editor.example/client.json",
    "https://editor.example:443/client.json",
    "https://editor.example:0443/client.json",
    "https://editor.example:/client.json",
    "https://editor.example:0/client.json",
    "https://editor.example:65536/client.json",
    "https://editor.example:+8443/client.json",
    "https://EDITOR.example/client.json",
    "https://b\u00fccher.example/client.json",
    "https://editor\u3002example/client.json",
    "https://editor.example\\@evil.example/client.json",
    "https://editor.example/client json",
    "https://editor.example/client.json\r\nX: y",
    "https://editor.example/client.json\x00",
    "https://editor.example./client.json",
    "https://.example/client.json",
    "https://editor..example/client.json",
    "https:///client.json",
    "https://localhost/client.json",
    "https://redis/client.json",
    "https://127.0.0.1/client.json",
    "https://127.1/client.json",
    "https://2130706433/client.json",
    "https://0x7f.0.0.1/client.json",
    "https://93.184.216.34/client.json",
    "https://[::1]/client.json",
    "https://[2606:4700::1]/client.json",
    "https://editor.example/" + "x" * 2048,
]
INSIDE = [
    "127.0.0.1",
    "10.0.0.7",
    "172.17.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104 - an address to refuse
    "192.0.0.8",
    "::1",
    "fd00::1",
    "fe80::1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "2002:a00:1::",
    "2001:0:a00:1::",
]


@pytest.mark.requirement("attack-55", "AS-14")
@pytest.mark.parametrize("url", GOOD)
def test_url_in_its_one_spelling_is_a_client_identifier(url: str) -> None:
    assert is_url(url)
    assert problem_of(url) is None


@pytest.mark.requirement("attack-55", "AS-14")
@pytest.mark.parametrize("url", BAD, ids=range(len(BAD)))
async def test_any_other_url_is_refused_before_anything_is_asked(
    browser: Browser, client: OAuthClient, server: Running, publisher: Publisher, closing: AsyncExitStack, url: str
) -> None:
    assert is_url(url)
    assert problem_of(url) is not None
    await consent_page(browser, client.url(Pkce.new()))
    app = documented(closing, server, url)
    reply = await browser.http.get(app.url(Pkce.new()))
    refused(reply, "invalid_request" if "\x00" in url else "invalid_client")
    assert publisher.requests == []


@pytest.mark.requirement("attack-55")
@given(url=st.from_regex(r"https://[a-zA-Z0-9.@:%\-_\[\]]{1,20}(/[\x20-\x7e]{0,20}){0,3}", fullmatch=True))
def test_whatever_is_accepted_reads_the_same_however_it_is_parsed(url: str) -> None:
    if problem_of(url) is not None:
        return
    parts = urlsplit(url)
    assert parts.geturl() == url
    assert parts.scheme == "https"
    assert (parts.username, parts.password, parts.fragment) == (None, None, "")
    assert parts.hostname == parts.hostname.lower() if parts.hostname else False
    assert host_of(url) == url.removeprefix("https://").partition("/")[0]
    assert not {".", ".."} & set(parts.path.split("/"))


@pytest.mark.requirement("attack-56", "attack-57", "AS-15")
@pytest.mark.parametrize("address", INSIDE)
async def test_document_whose_host_leads_inside_the_network_is_never_asked_for(
    template: Template, tmp_path: Path, clock: ManualClock, closing: AsyncExitStack, address: str
) -> None:
    asked: list[str] = []

    async def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["93.184.216.34", address]

    def connect(limits: Limits) -> Outbound:
        return Outbound(limits=limits, resolve=resolve)

    server = await closing.enter_async_context(running(template, tmp_path, {}, clock, connect))
    browser = Browser(server.url)
    closing.push_async_callback(browser.close)
    app = documented(closing, server)
    page = await browser.sign_in(await browser.http.get(app.url(Pkce.new())))
    html = refused(page, "invalid_client")
    assert "could not be fetched" in html
    # Neither what the name resolves to nor why that is refused is for strangers.
    assert address not in html
    assert "routable" not in html
    assert asked == ["editor.example"]
