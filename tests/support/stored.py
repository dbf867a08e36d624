"""People, clients, codes and grants as the store keeps them, to start a test from."""

import hashlib
from typing import Any

from sqlalchemy import Connection, Table, func, select

from oauth_server.store.records import Client, Code, Issue, NewRefresh, Permitted, Refusal, User
from oauth_server.store.store import Store
from oauth_server.store.verbs import clients, grants, revocations, users

NOW = 1_800_000_000.0
PERMITTED = Permitted(frozenset(("mcp:read", "mcp:write")), frozenset(("openid", "offline_access")))
RESOURCE = "https://mcp.example"


def sha(text: str) -> bytes:
    """SHA-256, as the store keeps codes and tokens."""
    return hashlib.sha256(text.encode()).digest()


def user(name: str = "alice", **fields: Any) -> User:
    """A person who may be granted reading and writing."""
    values = {"password_hash": "x", "scope": ("mcp:read", "mcp:write"), "created_at": NOW}
    return User(**{"user_id": f"id-of-{name}", "username": name, **values, **fields})


def client(client_id: str = "c1", **fields: Any) -> Client:
    """A public client with one loopback redirect URI."""
    values: dict[str, Any] = {
        "name": "Client",
        "secret_hash": None,
        "auth_method": "none",
        "redirect_uris": ("http://localhost/cb",),
        "grant_types": ("authorization_code", "refresh_token"),
        "scope": (),
        "application_type": "native",
        "source": "registered",
        "created_at": NOW,
    }
    return Client(client_id=client_id, **(values | fields))


def code(text: str = "code-1", **fields: Any) -> Code:
    """A code of alice for client c1, valid for a minute."""
    values: dict[str, Any] = {
        "grant_id": f"grant-of-{text}",
        "client_id": "c1",
        "user_id": "id-of-alice",
        "redirect_uri": "http://localhost:9/cb",
        "challenge": "challenge",
        "resources": (RESOURCE, f"{RESOURCE}/mcp"),
        "scope": ("mcp:read", "mcp:write", "openid"),
        "nonce": "n-1",
        "auth_time": NOW - 5,
        "expires_at": NOW + 60,
    }
    return Code(code_hash=sha(text), **(values | fields))


async def people(store: Store) -> None:
    """Store alice and bob, and the clients c1 and c2."""
    for name in ("alice", "bob"):
        assert await store.write(users.add, user(name))
    for client_id in ("c1", "c2"):
        await store.write(clients.add, client(client_id))


async def redeem(store: Store, text: str = "code-1", refresh: str | None = "r1", **fields: Any) -> Issue | Refusal:
    """Redeem a code as its client would."""
    values: dict[str, Any] = {
        "client_id": "c1",
        "redirect_uri": "http://localhost:9/cb",
        "challenge": "challenge",
        "resource": None,
        "now": NOW,
        "lifetime": 60,
        "replay_after": 5,
        "permitted": PERMITTED,
        "refresh": None if refresh is None else NewRefresh(sha(refresh), NOW + 1000),
        "family_until": NOW + 10_000,
        "tokens_until": NOW + 86_400,
    }
    return await store.write(grants.redeem_code, code_hash=sha(text), **(values | fields))


async def rotate(store: Store, text: str = "r1", new: str = "r2", **fields: Any) -> Issue | Refusal:
    """Rotate a refresh token as its client would."""
    now = fields.get("now", NOW)
    values: dict[str, Any] = {
        "client_id": "c1",
        "scope": None,
        "resource": None,
        "now": NOW,
        "grace": 30,
        "replays": 64,
        "permitted": PERMITTED,
        "successor": NewRefresh(sha(new), now + 1000),
        "sealed": f"sealed {new}".encode(),
        "tokens_until": NOW + 86_400,
    }
    return await store.write(grants.rotate_refresh, token_hash=sha(text), **(values | fields))


async def granted(store: Store, text: str = "code-1", refresh: str = "r1") -> Issue:
    """A grant of alice to c1, with one refresh token."""
    await store.write(grants.add_code, code(text))
    issue = await redeem(store, text, refresh)
    assert isinstance(issue, Issue), issue
    return issue


async def announced(store: Store, epoch: int = 0, now: float = NOW) -> tuple[int, list[tuple[str, str, float]]]:
    """The epoch, and what was announced after this one: (kind, value, when it expires) of what had not by `now`."""
    found = await store.read(revocations.since, (epoch + 1, "", ""), now, 1000)
    assert not found.more
    return found.known[0] - 1, list(found.entries)


def count(connection: Connection, table: Table) -> int:
    """How many rows a table has; a verb."""
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def rows(connection: Connection, table: Table) -> list[dict[str, Any]]:
    """All rows of a table; a verb."""
    return [dict(row) for row in connection.execute(select(table)).mappings()]
