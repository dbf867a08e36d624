"""A real Chromium for the module, a server, and a loopback listener that plays the client."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.support.browser import query_of
from tests.support.databases import Template
from tests.support.npm import UnavailableError, install
from tests.support.oauth import OAuthClient, Pkce
from tests.support.server import OWNER, PASSWORD, Running, running

PLAIN_NAME = "mcp.test"  # to Chromium, a name that is not this computer's own: plain http to it is not trustworthy
NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {PLAIN_NAME} 127.0.0.1",
]


# From outside the page: its policy lets no script in, and bypassing the policy would not test the page as it is.
RUN_AXE = """() => axe.run(document, {resultTypes: ['violations', 'incomplete']}).then(found => ({
    violations: found.violations.map(v => `${v.id}: ${v.nodes.map(n => n.html).join(' ')}`),
    incomplete: found.incomplete.map(v => `${v.id}: ${v.nodes.map(n => n.html).join(' ')}`),
    passes: found.passes.length,
}))"""


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core."""
    try:
        folder: Path = install().folder
    except UnavailableError as error:
        pytest.skip(f"axe-core: {error}")
    return (folder / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The program of the system's Chromium."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("Chromium is not installed")
    return path


@pytest.fixture(scope="module")
async def chromium(chromium_path: str) -> AsyncIterator[Browser]:
    """The system's Chromium, started once for all tests of a module."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture(scope="module")
async def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """One server for a module; each test has a browser profile of its own."""
    async with running(template, tmp_path_factory.mktemp("browser")) as found:
        yield found


@dataclass
class Callback:
    """A client's loopback listener: answers every request with a page, and keeps what arrived."""

    port: int = 0
    arrived: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def uri(self) -> str:
        return f"http://localhost:{self.port}/callback"

    @property
    def answer(self) -> dict[str, str]:
        """The parameters of the one authorization response."""
        (answer,) = [target for target, _ in self.arrived if target.startswith("/callback")]
        return query_of(answer)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = (line.split(": ", 1) for line in head[1:] if line)
        self.arrived.append((head[0].split()[1], {name.lower(): value for name, value in fields}))
        body = b"<!doctype html><title>The client</title><p>You can close this page."
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        with suppress(ConnectionError):  # a browser that goes elsewhere meanwhile
            await writer.drain()
            writer.close()
            await writer.wait_closed()


@pytest.fixture
async def callback() -> AsyncIterator[Callback]:
    """The client's listener."""
    found = Callback()
    listener = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = listener.sockets[0].getsockname()[1]
    yield found
    listener.close()
    await listener.wait_closed()


@dataclass
class OtherPort:
    """A server on another port: what it answers, by path, and the Cookie headers that it was sent."""

    port: int = 0
    answers: dict[str, tuple[str, Mapping[str, str], str]] = field(default_factory=dict)
    cookies: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def page(self, path: str, html: str, **headers: str) -> str:
        """Answer a path with a page; its URL."""
        self.answers[path] = ("200 OK", {"Content-Type": "text/html", **headers}, f"<!doctype html>{html}")
        return self.url + path

    def redirect(self, path: str, location: str, **headers: str) -> str:
        """Answer a path with a redirect; its URL."""
        self.answers[path] = ("302 Found", {"Location": location, **headers}, "")
        return self.url + path

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        target = head[0].split()[1]
        self.asked.append(target)
        self.cookies += [line.partition(": ")[2] for line in head if line.lower().startswith("cookie:")]
        status, headers, body = self.answers.get(urlsplit(target).path, ("404 Not Found", {}, ""))
        fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        writer.write(
            f"HTTP/1.1 {status}\r\n{fields}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode(
                "latin-1"
            )
        )
        with suppress(ConnectionError):
            await writer.drain()
            writer.close()
            await writer.wait_closed()


@pytest.fixture
async def other() -> AsyncIterator[OtherPort]:
    """The server on the other port."""
    found = OtherPort()
    listener = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = listener.sockets[0].getsockname()[1]
    yield found
    listener.close()
    await listener.wait_closed()


@dataclass
class Desk:
    """Where a person sits: Chromium profiles, the server, and the client that sends them there."""

    chromium: Browser
    server: Running
    callback: Callback
    client: OAuthClient
    stack: AsyncExitStack
    pkce: Pkce = field(default_factory=Pkce.new)
    complaints: list[str] = field(default_factory=list)

    async def profile(self, **options: object) -> BrowserContext:
        """A fresh browser profile."""
        context = await self.chromium.new_context(**options)  # type: ignore[arg-type]
        context.set_default_timeout(10_000)
        self.stack.push_async_callback(context.close)
        return context

    async def page(self, **options: object) -> Page:
        """A page in a fresh profile, that shows an authorization request; what its console says is kept."""
        page = await (await self.profile(**options)).new_page()
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("requestfailed", lambda request: self.complaints.append(f"{request.url} {request.failure}"))
        await page.goto(self.url())
        return page

    def url(self, **params: str) -> str:
        """An authorization URL."""
        return self.client.url(self.pkce, **params)

    async def token_scope(self) -> str:
        """Redeem the code that arrived; returns the granted scope."""
        reply = await self.client.redeem(self.callback.answer["code"], self.pkce)
        assert reply.status_code == 200, reply.text
        scope: str = reply.json()["scope"]
        return scope


@pytest.fixture
async def desk(chromium: Browser, server: Running, callback: Callback) -> AsyncIterator[Desk]:
    """A person with a browser."""
    async with AsyncExitStack() as stack:
        client = OAuthClient(server, redirect_uri=callback.uri)
        stack.push_async_callback(client.close)
        yield Desk(chromium, server, callback, client, stack)


async def sign_in(page: Page, password: str = PASSWORD, username: str = OWNER) -> None:
    """Fill the login form and send it."""
    await page.get_by_label("User name").fill(username)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()
