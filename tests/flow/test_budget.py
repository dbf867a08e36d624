"""What a request may cost, counted as work and not as time: statements, commits, signatures, verifications.

A time depends on the machine and its neighbours; a statement more is a statement more everywhere.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from jose.backends import ECKey
from sqlalchemy import event

from tests.support.assertions import operators
from tests.support.browser import Browser
from tests.support.issuers import https_issuer
from tests.support.oauth import OAuthClient, Pkce
from tests.support.outside import registered
from tests.support.server import Running

APART = (
    "BEGIN",
    "COMMIT",
    "PRAGMA",
    "RELEASE",
    "SAVEPOINT",
    "SELECT epoch",
)  # of transactions, and of each half second
RECORDED = ["SELECT audit_heads", "INSERT audit"]  # of an event, and of all that are committed with it


class Work:
    """What a server does on SQLite, while it is watched."""

    def __init__(self, server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        store = server.services.store
        assert store._writer is not None
        self._engines = {store._writer._engine, store._read_engine}
        self.statements: list[str] = []
        self.crypto: Counter[str] = Counter()
        for engine in self._engines:
            event.listen(engine, "before_cursor_execute", self._statement)
        for name in ("sign", "verify"):
            monkeypatch.setattr(ECKey, name, self._counting(name, getattr(ECKey, name)))

    def _statement(self, _connection: object, _cursor: object, sql: str, *_: object) -> None:
        verb, *words = sql.replace("(", " ").split()
        table = {"SELECT": "FROM", "INSERT": "INTO", "DELETE": "FROM", "UPDATE": "UPDATE"}.get(verb)
        every = [verb, *words]
        self.statements.append(verb if table is None else f"{verb} {every[every.index(table) + 1]}")

    def _counting(self, name: str, original: object) -> object:
        def counted(*args: object) -> object:
            self.crypto[name] += 1
            return original(*args)  # type: ignore[operator]

        return counted

    def end(self) -> None:
        """Watch no longer."""
        for engine in self._engines:
            event.remove(engine, "before_cursor_execute", self._statement)

    def taken(self) -> tuple[list[str], int, int, int]:
        """The statements without those of transactions, the commits, signatures and verifications since the last."""
        transactions = Counter(self.statements)
        own = [statement for statement in self.statements if statement not in APART]
        found = own, transactions["COMMIT"], self.crypto["sign"], self.crypto["verify"]
        self.statements.clear()
        self.crypto.clear()
        return found


@pytest.fixture
async def app(server: Running, closing: AsyncExitStack) -> OAuthClient:
    """A confidential client."""
    return await registered(closing, server, token_endpoint_auth_method="client_secret_basic")


@pytest.fixture
def work(server: Running, app: OAuthClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    """The work of the server from now on."""
    found = Work(server, monkeypatch)
    yield found
    found.end()


@https_issuer
async def test_what_a_code_flow_costs(app: OAuthClient, browser: Browser, work: Work) -> None:
    await app.tokens(browser)  # signs in and consents; the client is known from now on
    work.taken()
    pkce = Pkce.new()
    code = await app.code(browser, pkce)
    reads = ["SELECT browser_sessions", "SELECT consents"]
    assert work.taken() == ([*reads, "SELECT users", "SELECT clients", "INSERT codes", *RECORDED], 1, 0, 0)
    assert (await app.redeem(code, pkce)).status_code == 200
    granted = ["UPDATE codes", "UPDATE clients", "INSERT grants", "INSERT refresh_tokens"]
    assert work.taken() == (["SELECT codes", *granted, *RECORDED], 1, 1, 0)


async def test_what_a_refresh_costs(app: OAuthClient, browser: Browser, work: Work) -> None:
    token = (await app.tokens(browser))["refresh_token"]
    rotated = ["SELECT refresh_tokens", "UPDATE refresh_tokens", "INSERT refresh_tokens"]
    for unsealed in ([], *[["UPDATE refresh_tokens"]] * 3):  # the first token of a family has no predecessor
        work.taken()
        reply = await app.refresh(token)
        token = reply.json()["refresh_token"]
        assert work.taken() == ([*rotated, *unsealed, *RECORDED], 1, 1, 0)


async def test_what_a_clients_own_token_costs(server: Running, closing: AsyncExitStack, work: Work) -> None:
    service = await operators(closing, server, method="client_secret_basic")
    for known in (["SELECT clients"], []):
        work.taken()
        assert (await service.token(grant_type="client_credentials")).status_code == 200
        assert work.taken() == ([*known, "UPDATE clients", *RECORDED], 1, 1, 0)


async def test_what_an_introspection_costs(app: OAuthClient, browser: Browser, work: Work) -> None:
    token = (await app.tokens(browser))["access_token"]
    for verified in (1, 0):
        work.taken()
        reply = await app.http.post("/oauth/introspect", data={"token": token}, auth=(app.client_id, app.secret or ""))
        assert reply.json()["active"] is True
        assert work.taken() == ([], 0, 0, verified)


async def test_what_a_refused_request_costs(app: OAuthClient, work: Work) -> None:
    for presented in ({"client_secret": "wrong"}, {"client_secret": "wrong", "token": "x"}):
        path = "/oauth/introspect" if "token" in presented else "/oauth/token"
        form = {"client_id": app.client_id, "grant_type": "refresh_token", "refresh_token": "x", **presented}
        for _ in range(10):  # so many of a minute are recorded one by one
            await app.http.post(path, data=form)
        work.taken()
        assert (await app.http.post(path, data=form)).status_code == 401
        assert work.taken() == (["SELECT clients"], 0, 0, 0)  # nobody is refused by what is in memory
