"""What the authorization endpoint answers, judged whole: pages, redirects, and the state they leave."""

import re
from contextlib import AsyncExitStack
from typing import Any

import httpx2

from oauth_server.core.clock import random_id
from oauth_server.core.hasher import argon2id
from oauth_server.store.records import User
from oauth_server.store.verbs import users
from tests.support.browser import Browser, asks_to_sign_in, form_of, query_of
from tests.support.oauth import OAuthClient
from tests.support.outside import rows
from tests.support.server import Running

STATE = "state-of-the-test"
ALICE_PASSWORD = "alice has a long password"
# OAuth 2.1 section 4.1.2.1: %x20-21 / %x23-5B / %x5D-7E
DESCRIPTION = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")
POLICY = {"default-src 'none'", "style-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"}


def shown(reply: httpx2.Response, status: int = 200) -> str:
    """The HTML of a page that leads nowhere by itself, and that nobody may keep, frame, sniff or script."""
    assert reply.status_code == status, (reply.status_code, reply.headers, reply.text)
    headers = reply.headers
    assert not {"location", "refresh"} & set(headers)
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    # No form-action: Chromium applies it to the redirect that follows a form, and the callback is another origin.
    assert {part.strip() for part in headers["content-security-policy"].split(";")} == POLICY
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    return reply.text


def refused(reply: httpx2.Response, error: str = "invalid_request", status: int = 400) -> str:
    """The HTML of an error page, which asks for nothing."""
    html = shown(reply, status)
    assert f"<bdi>{error}</bdi>" in html
    assert "<form" not in html
    return html


def answered(reply: httpx2.Response, client: OAuthClient, status: int = 302) -> dict[str, str]:
    """The response parameters sent to the client's redirect URI, each of which comes once."""
    assert reply.status_code == status, (reply.status_code, reply.text)
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers.get_list("location") == [reply.headers["location"]]
    target, _, _ = reply.headers["location"].partition("?")
    assert target == client.redirect_uri
    return query_of(reply.headers["location"])


def redirected_error(
    reply: httpx2.Response, client: OAuthClient, error: str, *, state: str | None = STATE, status: int = 302
) -> str:
    """The description of an error sent to the client, with state and iss (RFC 9207 section 2) and nothing else."""
    found = answered(reply, client, status)
    description = found.pop("error_description")
    assert DESCRIPTION.fullmatch(description), description
    assert found == {"error": error, "iss": client.server.url} | ({} if state is None else {"state": state})
    return description


async def state_of(server: Running) -> dict[str, list[tuple[Any, ...]]]:
    """All that is stored but the audit log and the count of failed attempts, to see whether a request changed something."""
    return {name: found for name, found in rows(server).items() if name != "failed_attempts"}


async def count(server: Running, table: str) -> int:
    """How many rows a table has."""
    return len((await state_of(server))[table])


async def add_user(server: Running, username: str = "alice", **fields: Any) -> User:
    """Create a user with ALICE_PASSWORD, who may be granted mcp:read and mcp:write unless `fields` say otherwise."""
    values = {
        "user_id": random_id(),
        "username": username,
        "password_hash": argon2id().hash(ALICE_PASSWORD),
        "scope": ("mcp:read", "mcp:write"),
        "created_at": server.clock(),
    }
    user = User(**{**values, **fields})
    assert await server.services.store.write(users.add, user)
    return user


def browser_of(
    closing: AsyncExitStack, server: Running, username: str = "alice", password: str = ALICE_PASSWORD
) -> Browser:
    """Another person's browser."""
    browser = Browser(server.url, username, password, server.client())
    closing.push_async_callback(browser.close)
    return browser


async def registered(closing: AsyncExitStack, server: Running, **metadata: Any) -> OAuthClient:
    """A dynamically registered client."""
    client = await OAuthClient.register(server, **metadata)
    closing.push_async_callback(client.close)
    return client


async def consent_page(browser: Browser, url: str) -> httpx2.Response:
    """The consent page that an authorization URL leads to, after signing in where that is asked for."""
    page = await browser.http.get(url)
    if asks_to_sign_in(page):
        page = await browser.sign_in(page)
    assert "decision" in form_of(page.text).buttons, page.text
    return page
