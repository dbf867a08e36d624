"""Access and ID tokens: their claims, every check of `verify`, and the cache of verified tokens."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from oauth_server.core import tokens as module
from oauth_server.core.deployment import deploy
from oauth_server.core.errors import InvalidTokenError
from oauth_server.core.jwt import ACCESS_TOKEN_TYPES, ID_TOKEN_TYPES, generate_pem, load_key, verify
from oauth_server.core.jwt_parts import left_half_hash
from oauth_server.core.key_ring import KeyRing
from oauth_server.core.keys import Keys
from oauth_server.core.revocation import RevocationFilter
from oauth_server.core.settings import load
from oauth_server.core.tokens import CHECKS, Tokens
from oauth_server.store.records import Revocation, SigningKey
from oauth_server.store.store import Store
from oauth_server.store.verbs import keys as signing_keys
from oauth_server.store.verbs import revocations
from tests.support.clock import ManualClock
from tests.support.forging import compact, es256

ISSUER = "http://localhost:8000"
MINE: dict[str, Any] = {
    "subject": "sub-1",
    "client_id": "c1",
    "scope": ("mcp:read", "openid"),
    "audience": ISSUER,
    "grant_id": "g1",
}
PEMS = {"access": generate_pem("ES256"), "id": generate_pem("RS256")}


def stored(use: Any, alg: str, at: float = 1.0) -> SigningKey:
    """A key as the store has it."""
    return SigningKey(load_key(PEMS[use], alg).kid, use, alg, PEMS[use], at, at)


STORED = [stored("access", "ES256"), stored("id", "RS256")]
KEYS = Keys(
    [(entry, load_key(entry.private_pem, entry.alg)) for entry in STORED], {entry.use: entry.kid for entry in STORED}
)


async def nothing_new() -> None:
    """A look for new keys that finds none."""


async def opened(store: Store, alg: str, clock: ManualClock) -> KeyRing:
    """The keys of a process that signs access tokens with this algorithm."""
    ring = KeyRing(store, load({"MCP_OAUTH_SIGNING_ALG": alg}), clock)
    await ring.open()
    return ring


@pytest.fixture
async def revoked(store: Store, clock: ManualClock) -> RevocationFilter:
    found = RevocationFilter(store, clock)
    await found.refresh()
    return found


@pytest.fixture
def tokens(revoked: RevocationFilter, clock: ManualClock) -> Tokens:
    return Tokens(deploy(load({}), "127.0.0.1", 8000), lambda: KEYS, nothing_new, revoked, clock)


async def failed(tokens: Tokens, token: str, audience: list[str] | None = None) -> str:
    """The check that refused a token."""
    with pytest.raises(InvalidTokenError) as caught:
        await tokens.verify(token, audience)
    assert caught.value.check in CHECKS
    return caught.value.check


async def test_an_access_token_carries_the_claims_of_rfc_9068(tokens: Tokens, clock: ManualClock) -> None:
    token = tokens.issue_access(**MINE)
    claims = verify(token, KEYS.access, ACCESS_TOKEN_TYPES)
    jti = claims.pop("jti")
    assert len(jti) >= 22
    assert claims == {
        "iss": ISSUER,
        "sub": "sub-1",
        "aud": ISSUER,
        "exp": clock() + 3600,
        "iat": clock(),
        "client_id": "c1",
        "scope": "mcp:read openid",
        "grant_id": "g1",
    }
    found = await tokens.verify(token)
    assert (found.subject, found.client_id, found.grant_id, found.jti) == ("sub-1", "c1", "g1", jti)
    assert (found.scope, found.audience, found.expires_at) == (("mcp:read", "openid"), ISSUER, clock() + 3600)
    assert verify(tokens.issue_access(**MINE), KEYS.access, ACCESS_TOKEN_TYPES)["jti"] != jti


@pytest.mark.requirement("RS-09", "RS-10", "attack-63")
async def test_one_of_the_names_asked_for_must_be_in_the_audience(tokens: Tokens) -> None:
    mcp = tokens.issue_access(**{**MINE, "audience": f"{ISSUER}/mcp"})
    assert verify(mcp, KEYS.access, ACCESS_TOKEN_TYPES)["aud"] == f"{ISSUER}/mcp"
    assert (await tokens.verify(mcp, [ISSUER, f"{ISSUER}/mcp"])).audience == f"{ISSUER}/mcp"
    for foreign in ([f"{ISSUER}/"], [f"{ISSUER}/mcp/"], ["http://localhost:80"], []):
        assert await failed(tokens, mcp, foreign) == "audience"  # the cached token, too
    assert await failed(tokens, tokens.issue_access(**MINE), [f"{ISSUER}/mcp"]) == "audience"


@pytest.mark.requirement("attack-63")
@pytest.mark.parametrize(
    ("changed", "check"),
    [
        ({"iss": "https://evil.example"}, "issuer"),
        ({"iss": f"{ISSUER}/"}, "issuer"),
        ({"iss": [ISSUER]}, "issuer"),
        ({"iss": ...}, "issuer"),
        *(({name: ...}, "claims") for name in ("sub", "client_id", "jti", "scope", "grant_id", "aud", "exp", "iat")),
        *(({name: 7}, "claims") for name in ("sub", "client_id", "jti", "scope", "grant_id", "aud")),
        ({"scope": ["mcp:admin"]}, "claims"),
        ({"aud": []}, "claims"),
        ({"aud": [ISSUER, 7]}, "claims"),
        ({"aud": {}}, "claims"),
        ({"aud": [ISSUER, f"{ISSUER}/mcp"]}, "audience"),
        ({"exp": None}, "claims"),
        ({"exp": [9_999_999_999]}, "claims"),
        ({"exp": float("inf")}, "claims"),
        ({"exp": 1}, "expiry"),
        ({"nbf": 9_999_999_999}, "not_before"),
    ],
)
async def test_a_signed_token_with_wrong_claims_is_refused(
    tokens: Tokens, clock: ManualClock, changed: dict[str, Any], check: str
) -> None:
    claims = verify(tokens.issue_access(**MINE), KEYS.access, ACCESS_TOKEN_TYPES) | changed
    claims = {name: value for name, value in claims.items() if value is not ...}
    key: Any = load_pem_private_key(PEMS["access"].encode(), None)
    token = compact({"alg": "ES256", "typ": "at+jwt", "kid": KEYS.sign_access.kid}, claims, es256(key))
    assert await failed(tokens, token) == check
    assert not tokens._cache


@pytest.mark.requirement("attack-47")
async def test_an_id_token_is_no_access_token_and_the_reverse(tokens: Tokens, clock: ManualClock) -> None:
    access = tokens.issue_access(**MINE)
    identity = tokens.issue_id(subject="s", client_id="c1", auth_time=clock() - 9.5, nonce="n", access_token=access)
    assert verify(identity, KEYS.id, ID_TOKEN_TYPES) == {
        "iss": ISSUER,
        "sub": "s",
        "aud": "c1",
        "exp": clock() + 3600,
        "iat": clock(),
        "auth_time": int(clock() - 9.5),
        "nonce": "n",
        "at_hash": left_half_hash(access),
    }
    assert await failed(tokens, identity) == "type"
    assert await tokens.id_token_hint(identity) == ("s", "c1")
    assert await tokens.id_token_hint(access) is None
    clock.advance(10_000)
    assert await tokens.id_token_hint(identity) == ("s", "c1")  # a hint may be old
    without = tokens.issue_id(subject="s", client_id="c1", auth_time=1, nonce=None, access_token=access)
    assert "nonce" not in verify(without, KEYS.id, ID_TOKEN_TYPES)


@pytest.mark.requirement("attack-75")
async def test_a_verified_token_is_dropped_at_its_expiry(tokens: Tokens, clock: ManualClock) -> None:
    token = tokens.issue_access(**MINE)
    await tokens.verify(token)
    clock.advance(3599)
    await tokens.verify(token)
    assert len(tokens._cache) == 1
    clock.advance(1)
    assert await failed(tokens, token) == "expiry"
    assert len(tokens._cache) == 0
    assert await failed(tokens, token) == "expiry"


async def test_the_cache_is_bounded_and_keeps_the_newest(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHE_SIZE", 10)
    made = [tokens.issue_access(**MINE) for _ in range(30)]
    for token in made:
        await tokens.verify(token)
        assert len(tokens._cache) <= 10
    inspected: list[str] = []
    original = tokens._inspect
    monkeypatch.setattr(tokens, "_inspect", lambda token: (inspected.append(token), original(token))[1])
    for token in made[-10:]:
        await tokens.verify(token)
    assert inspected == []
    await tokens.verify(made[0])
    assert inspected == [made[0]]


async def test_refused_tokens_take_no_memory(tokens: Tokens) -> None:
    for number in range(50):
        assert await failed(tokens, f"a.b.{number}") == "format"
    for text in ("", "\ud800", "\udc80.b.c", "ä.b.c", "\x00"):
        assert await failed(tokens, text) == "format"
    assert len(tokens._cache) == 0


@pytest.mark.requirement("attack-64")
@pytest.mark.parametrize("kind", ["token", "grant", "user", "client"])
async def test_a_revocation_ends_a_token_that_was_verified_before(
    tokens: Tokens, store: Store, revoked: RevocationFilter, clock: ManualClock, kind: Any
) -> None:
    token = tokens.issue_access(**MINE)
    value = dict((await tokens.verify(token)).revocable)[kind]
    await store.write(revocations.revoke, [Revocation(kind, value, clock(), clock() + 9999)])
    await revoked.refresh()
    assert await failed(tokens, token) == "revocation"
    clock.advance(1)
    if kind in ("user", "client"):  # what is issued afterwards is good
        assert await tokens.verify(tokens.issue_access(**MINE))


@pytest.mark.requirement("AS-35")
async def test_processes_that_start_together_sign_with_the_same_keys(store: Store, clock: ManualClock) -> None:
    first = (await opened(store, "ES256", clock)).current()
    assert (first.sign_access.alg, first.sign_id.alg) == ("ES256", "RS256")
    again = (await opened(store, "ES256", clock)).current()
    assert [key.kid for key in again.all] == [key.kid for key in first.all]
    assert len(await store.read(signing_keys.listed)) == 2


async def test_another_algorithm_gets_a_key_of_its_own_and_the_old_one_still_verifies(
    store: Store, clock: ManualClock, revoked: RevocationFilter
) -> None:
    deployment = deploy(load({}), "127.0.0.1", 8000)
    ring = await opened(store, "ES256", clock)
    first = ring.current()
    token = Tokens(deployment, ring.current, ring.seek, revoked, clock).issue_access(**MINE)
    clock.advance(1)
    other = await opened(store, "RS256", clock)
    second = other.current()
    assert second.sign_access.alg == second.sign_id.alg == "RS256"
    assert second.sign_access.kid != second.sign_id.kid  # never one key for two uses
    assert {key.kid for key in first.all} < {key.kid for key in second.all}
    assert (await Tokens(deployment, other.current, other.seek, revoked, clock).verify(token)).subject == "sub-1"
    assert (await opened(store, "ES256", clock)).current().sign_access.kid == first.sign_access.kid
