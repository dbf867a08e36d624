"""The worst that each endpoint accepts costs a bounded number of signatures, keys, password hashes and statements.

Counted, not timed: signature verifications (two at most), keys parsed (two at most), passwords hashed (one at most before
anybody has signed in, and none beyond the limits), statements of the store.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest
from jose.backends.cryptography_backend import CryptographyECKey, CryptographyRSAKey
from sqlalchemy import event

from oauth_server.core import hashers
from oauth_server.core.client_keys import ClientKey
from oauth_server.core.policies import CLIENT_SECRETS
from tests.support.assertions import KeyedClient, jwks, key_of, keyed, operators
from tests.support.browser import Browser
from tests.support.mcp_http import call, token_for
from tests.support.oauth import CALLBACK, OAuthClient, Pkce
from tests.support.outside import bearer
from tests.support.publisher import HOSTED, URL, Publisher
from tests.support.registration import initial_token
from tests.support.server import PASSWORD, Running

VERIFIED, PARSED, HASHED, STATEMENTS = "signatures verified", "keys parsed", "passwords hashed", "statements"
MOST = {VERIFIED: 2, PARSED: 2, HASHED: 1, STATEMENTS: 16}
GRANT = {"grant_type": "client_credentials"}
# As many keys as a set may have, for the algorithm that takes longest to verify.
LARGE = [key_of(f"large {number}", "ES512") for number in range(20)]
Measure = Callable[[str, Awaitable[httpx2.Response]], Awaitable[httpx2.Response]]


@pytest.fixture
def spent(server: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """What the server does, counted."""
    counts: Counter[str] = Counter()

    def counting(name: str, original: Any, *, only: Callable[..., bool] = lambda *_: True) -> Any:
        def counted(*args: Any, **options: Any) -> Any:
            counts[name] += only(*args)
            return original(*args, **options)

        return counted

    for kind in (CryptographyECKey, CryptographyRSAKey):
        monkeypatch.setattr(kind, "verify", counting(VERIFIED, kind.verify))
        # A key that is taken apart from what stands in a set or a file; one that is handed over as it is costs nothing.
        made = counting(PARSED, kind.__init__, only=lambda _self, key, *_: isinstance(key, (dict, str, bytes)))
        monkeypatch.setattr(kind, "__init__", made)
    parse = ClientKey.__dict__["public"]
    monkeypatch.setattr(parse, "func", counting(PARSED, parse.func))
    monkeypatch.setattr(hashers, "_ask", counting(HASHED, hashers._ask))

    def statement(_connection: object, _cursor: object, sql: str, *_: object) -> None:
        transaction = sql.split(maxsplit=1)[0] in ("BEGIN", "COMMIT", "PRAGMA", "RELEASE", "SAVEPOINT")
        counts[STATEMENTS] += not transaction and "epoch" not in sql.split()[:4]

    store = server.services.store
    engines = {store._read_engine, *(() if store._writer is None else (store._writer._engine,))}
    for engine in engines:
        event.listen(engine, "before_cursor_execute", statement)
    yield counts
    for engine in engines:
        event.remove(engine, "before_cursor_execute", statement)


@pytest.fixture
def measure(spent: Counter[str]) -> Measure:
    """Requires that a request stays within the bounds."""

    async def measured(what: str, request: Awaitable[httpx2.Response]) -> httpx2.Response:
        spent.clear()
        reply = await request
        exceeded = {name: spent[name] for name, most in MOST.items() if spent[name] > most}
        assert not exceeded, (what, reply.status_code, exceeded)
        return reply

    return measured


@pytest.fixture
async def machine(server: Running, closing: AsyncExitStack) -> KeyedClient:
    """A client with as many keys as it may have."""
    client = await keyed(closing, server, jwks=jwks(*LARGE))
    client.key = LARGE[-1]
    return client


PATHS = ("/oauth/token", "/oauth/revoke", "/oauth/introspect")


@pytest.mark.requirement("attack-42")
@pytest.mark.parametrize("path", PATHS)
async def test_an_assertion_for_a_set_of_twenty_keys(
    server: Running, machine: KeyedClient, measure: Measure, path: str
) -> None:
    stranger = key_of("stranger", "ES512")
    forged = await _forged(server)
    for header in ({"kid": ...}, {"kid": LARGE[0].kid}, {"kid": LARGE[-1].kid}, {"kid": "unknown"}, {"alg": "RS256"}):
        for _ in range(2):  # the second time the keys are known
            bad = machine.signed(machine.assertion(header, sign=stranger.sign), token=forged, **GRANT)
            assert (await measure(f"forged {header}", machine.http.post(path, data=bad))).status_code == 401
    good = machine.signed(token=forged, **GRANT)
    assert (await measure("good", machine.http.post(path, data=good))).status_code == 200


@pytest.mark.requirement("attack-42", "attack-60")
@pytest.mark.parametrize("path", ["/oauth/revoke", "/oauth/introspect"])
async def test_a_forged_token_beside_the_assertion_of_a_client_known_by_its_document(
    server: Running, publisher: Publisher, browser: Browser, closing: AsyncExitStack, measure: Measure, path: str
) -> None:
    publisher.publish(token_endpoint_auth_method="private_key_jwt", jwks=jwks(*LARGE[:5], kid="same"))
    publisher.publish(token_endpoint_auth_method="private_key_jwt", jwks=jwks(*LARGE[:8]))
    client = KeyedClient(server, URL, LARGE[0], HOSTED)
    closing.push_async_callback(client.close)
    tokens = await client.tokens(browser)
    for token in (await _forged(server), tokens["access_token"], tokens["refresh_token"], "x" * 8000):
        reply = await measure("document", client.http.post(path, data=client.signed(token=token)))
        assert reply.status_code == 200, reply.text


async def test_client_secrets_and_what_is_beyond_their_limit(
    server: Running, closing: AsyncExitStack, measure: Measure, spent: Counter[str]
) -> None:
    client = await operators(closing, server)
    for number in range(CLIENT_SECRETS[0].quota + 3):
        auth = (client.client_id, f"{number}%2B+{'x' * 4000}")
        reply = await measure("secret", client.http.post("/oauth/token", data=GRANT, auth=auth))
        assert reply.status_code == (401 if number < CLIENT_SECRETS[0].quota else 429)
    assert spent[STATEMENTS] <= 2


async def test_registrations(server: Running, measure: Measure) -> None:
    body = {"redirect_uris": [f"http://localhost/{number}" for number in range(20)], "client_name": "n" * 512}
    keys = {"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks(*LARGE)}
    async with server.client() as http:
        for metadata in (body, {**body, **keys}, {**body, "software_statement": await _forged(server)}):
            for token in (None, "x" * 43, await initial_token(server)):
                headers = bearer(token) if token else {}
                reply = await measure("register", http.post("/oauth/register", json=metadata, headers=headers))
                assert reply.status_code in (201, 400)
        for method in ("GET", "PUT", "DELETE"):
            path = "/oauth/register/mcp-docker-server-default"
            await measure("manage", http.request(method, path, json={**body, **keys}, headers=bearer("x" * 43)))


async def test_bearer_tokens_and_hints(server: Running, measure: Measure) -> None:
    forged, foreign = await _forged(server), await _forged(server, "id")
    good = await token_for(server, "mcp:read mcp:write")
    async with server.client() as http:
        for token in (forged, foreign, good):
            for path in ("/oauth/test", "/oauth/userinfo"):
                await measure(path, http.get(path, headers=bearer(token)))
            introspected = http.post("/oauth/introspect", data={"token": forged}, headers=bearer(token))
            await measure("introspect", introspected)
            await measure("logout", http.get("/oauth/logout", params={"id_token_hint": token}))
            called = call(http, "legacy", "mcp_oauth_validate_token", token, token=forged)
            await measure("validate", called)


@pytest.mark.requirement("attack-27")
@pytest.mark.parametrize("username", ["admin", "nobody", "x" * 60_000])
async def test_sign_ins_hash_one_password_and_beyond_the_limits_none(
    server: Running, client: OAuthClient, measure: Measure, spent: Counter[str], username: str
) -> None:
    statuses: Counter[int] = Counter()
    for path in ("/account", client.url(Pkce.new())):
        browser = Browser(server.url)
        page = await browser.http.get(path)
        for password in ["", "wrong", "x" * 1024, "x" * 1025, "\u00e4" * 1000, *("wrong" for _ in range(60))]:
            sent = browser.submit(page, {"username": username[: 60_000 - len(password)], "password": password})
            reply = await measure(f"sign in at {path}", sent)
            statuses[reply.status_code] += 1
            if reply.status_code == 429:
                assert spent[HASHED] == 0
        await browser.close()
    assert statuses[429] > 0


async def test_a_change_of_password_verifies_one_and_hashes_one(
    server: Running, browser: Browser, spent: Counter[str]
) -> None:
    """Somebody has signed in; what is wrong about the new one is said without a hash of it."""
    page = await browser.account()
    for new, again, most in (
        ("short", "short", 1),
        (PASSWORD, PASSWORD, 1),
        ("another good password", "yet another password", 1),
        ("another good password", "another good password", 2),
    ):
        page = await browser.reload(page)
        fields = {"password": PASSWORD, "new_password": new, "new_password_again": again}
        spent.clear()
        reply = await browser.submit(page, fields, button=("action", "password"))
        assert spent[HASHED] == most, (new, reply.status_code)


async def test_authorization_requests(server: Running, client: OAuthClient, measure: Measure) -> None:
    many = [f"{server.url}/mcp"] * 50
    for params in (
        {"resource": many},
        {"scope": " ".join(f"s{number}" for number in range(400))},
        {"id_token_hint": await _forged(server, "id")},
        {"client_id": "x" * 8000},
        {"client_id": URL},
        {"redirect_uri": CALLBACK + "x" * 8000},
    ):
        await measure(str(params)[:60], client.http.get(client.url(Pkce.new(), **params)))


async def _forged(server: Running, use: str = "access") -> str:
    """A token of the server, whose signature is wrong."""
    good = await token_for(server, "mcp:read")
    if use == "id":
        tokens = server.services.tokens
        good = tokens.issue_id(subject="x", client_id="y", auth_time=0, nonce=None, access_token=good)
    signed, _, signature = good.rpartition(".")
    return f"{signed}.{signature[:-8]}AAAAAAAA"
