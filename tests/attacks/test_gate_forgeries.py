"""Forged, foreign and expired tokens open nothing: each is 401 invalid_token at /mcp and at /oauth/test."""

import asyncio
import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.databases import Template
from tests.support.forging import Signer, compact, es256, good_claims, hs256, private_key, rs256, unsigned
from tests.support.mcp_http import ERAS, ask, challenge_of, token_for, user_id
from tests.support.oauth import b64
from tests.support.server import Running, running

GOOD = {"alg": "ES256", "typ": "at+jwt"}
INVALID = "The access token is invalid, expired, revoked or meant for another resource."


@pytest.fixture(scope="module")
async def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with running(template, tmp_path_factory.mktemp("forgeries")) as found:
        yield found


@pytest.fixture
async def http(server: Running) -> AsyncIterator[httpx2.AsyncClient]:
    async with server.client() as found:
        yield found


async def _statuses(http: httpx2.AsyncClient, token: str) -> list[httpx2.Response]:
    replies = [await ask(http, era, "tools/list", token=token) for era in ERAS]
    return [*replies, await http.get("/oauth/test", headers={"Authorization": f"Bearer {token}"})]


async def _refused(http: httpx2.AsyncClient, token: str) -> None:
    for reply in await _statuses(http, token):
        assert reply.status_code == 401, reply.text
        found = challenge_of(reply)
        assert found["error"] == "invalid_token"
        assert found["error_description"] == INVALID
        assert "/.well-known/oauth-protected-resource" in found["resource_metadata"]
        assert reply.json() == {"error": "invalid_token", "error_description": INVALID}


async def _accepted(http: httpx2.AsyncClient, token: str) -> None:
    assert [reply.status_code for reply in await _statuses(http, token)] == [200, 200, 200]


async def _genuine(server: Running, header: dict[str, Any] | None = None, **changed: Any) -> str:
    """A token signed by the server's own key, with these members of header and claims changed."""
    kid, key = await private_key(server, "access")
    made = {name: value for name, value in {**GOOD, "kid": kid, **(header or {})}.items() if value is not ...}
    return compact(made, good_claims(server, await user_id(server), **changed), es256(key))


@pytest.mark.requirement("attack-62", "attack-63")
async def test_the_forger_can_make_good_tokens_so_the_refusals_below_mean_something(
    server: Running, http: httpx2.AsyncClient
) -> None:
    await _accepted(http, await _genuine(server))
    await _accepted(http, await _genuine(server, {"typ": "application/at+jwt"}))
    await _accepted(http, await _genuine(server, aud=[server.url]))


def _mallory() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _public_jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    return {"kty": "EC", "crv": "P-256", "x": b64(numbers.x.to_bytes(32)), "y": b64(numbers.y.to_bytes(32))}


async def _public_forms(server: Running) -> list[bytes]:
    """Everything a forger might take for the shared secret, all of it public."""
    forms: list[bytes] = [b"", b"secret"]
    for use in ("access", "id"):
        public = (await private_key(server, use))[1].public_key()
        pem, der = (public.public_bytes(e, PublicFormat.SubjectPublicKeyInfo) for e in (Encoding.PEM, Encoding.DER))
        forms += [pem, pem.strip(), der]
    async with server.client() as http:
        jwks = (await http.get("/.well-known/jwks.json")).json()
    for jwk in jwks["keys"]:
        forms += [json.dumps(jwk).encode(), jwk["kid"].encode(), jwk.get("x", jwk.get("n", "")).encode()]
    return forms


@pytest.mark.requirement("attack-62", "regression-5", "RS-09", "RS-13")
@pytest.mark.parametrize("alg", ["HS256", "HS512", "ES256", "RS256"])
async def test_a_public_key_is_no_shared_secret(server: Running, http: httpx2.AsyncClient, alg: str) -> None:
    claims = good_claims(server, await user_id(server))
    kids = [(await private_key(server, use))[0] for use in ("access", "id")]
    for secret in await _public_forms(server):
        for kid in kids:
            await _refused(http, compact({**GOOD, "alg": alg, "kid": kid}, claims, hs256(secret)))


@pytest.mark.requirement("attack-62", "RS-09")
@pytest.mark.parametrize("alg", ["none", "None", "nOnE", "NONE", "", None, ["none"], "ES256"])
async def test_an_unsigned_token_is_no_token(server: Running, http: httpx2.AsyncClient, alg: Any) -> None:
    kid, _ = await private_key(server, "access")
    claims = good_claims(server, await user_id(server))
    for header in ({**GOOD, "alg": alg, "kid": kid}, {**GOOD, "alg": alg}, {"alg": alg}):
        await _refused(http, compact(header, claims, unsigned))


KIDS: list[Any] = [
    "unknown", "", "0", "../../../../../../dev/null", "' OR '1'='1", "x' UNION SELECT 'secret", "\x00", "a" * 4000,
    None, 0, True, [], ["a"], {}, {"kid": "a"},
]  # fmt: skip


@pytest.mark.requirement("attack-62", "attack-64", "RS-09")
@pytest.mark.parametrize("kid", KIDS, ids=lambda kid: repr(kid)[:20])
async def test_a_kid_that_names_no_key_of_ours_is_refused_whatever_it_tries(
    server: Running, http: httpx2.AsyncClient, kid: Any
) -> None:
    claims = good_claims(server, await user_id(server))
    _, own = await private_key(server, "access")
    signers: list[tuple[str, Signer]] = [("ES256", es256(own)), ("ES256", es256(_mallory())), ("HS256", hs256(b""))]
    for alg, sign in signers:
        await _refused(http, compact({"alg": alg, "typ": "at+jwt", "kid": kid}, claims, sign))


@pytest.mark.requirement("attack-62", "attack-64")
async def test_a_token_without_a_kid_is_refused(server: Running, http: httpx2.AsyncClient) -> None:
    await _refused(http, await _genuine(server, {"kid": ...}))


@pytest.mark.requirement("attack-62", "RS-09", "RS-11")
async def test_a_key_that_the_token_brings_along_is_never_fetched_and_never_believed(
    server: Running, http: httpx2.AsyncClient
) -> None:
    kid, _ = await private_key(server, "access")
    mallory, claims = _mallory(), good_claims(server, await user_id(server))
    visits: list[str] = []

    async def visited(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append("somebody came")
        writer.close()

    listener = await asyncio.start_server(visited, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/jwks.json"
    brought: list[dict[str, Any]] = [
        {"jwk": _public_jwk(mallory)},
        {"jku": url},
        {"x5u": url},
        {"x5c": ["MIIB"]},
        {"jwk": _public_jwk(mallory), "jku": url, "x5u": url},
    ]
    for members in brought:
        for named in (kid, "mallory"):
            await _refused(http, compact({**GOOD, "kid": named, **members}, claims, es256(mallory)))
    listener.close()
    await listener.wait_closed()
    assert visits == []


@pytest.mark.requirement("attack-62")
@pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"crit": []}, {"crit": None}, {"crit": ["b64"], "b64": False}])
async def test_critical_extensions_are_refused_even_in_a_token_signed_by_us(
    server: Running, http: httpx2.AsyncClient, header: dict[str, Any]
) -> None:
    await _refused(http, await _genuine(server, header))


@pytest.mark.requirement("attack-63", "attack-47", "regression-4", "RS-09")
@pytest.mark.parametrize("typ", ["JWT", "at+jwt+x", "id+jwt", "", None, ...], ids=str)
async def test_only_an_access_token_type_is_an_access_token(
    server: Running, http: httpx2.AsyncClient, typ: Any
) -> None:
    await _refused(http, await _genuine(server, {"typ": typ}))


@pytest.mark.requirement("attack-62", "attack-63", "regression-5")
async def test_the_key_of_the_id_tokens_signs_no_access_token(server: Running, http: httpx2.AsyncClient) -> None:
    kid, key = await private_key(server, "id")
    claims = good_claims(server, await user_id(server))
    for typ in ("at+jwt", "JWT"):
        await _refused(http, compact({"alg": "RS256", "typ": typ, "kid": kid}, claims, rs256(key)))


NOW: list[tuple[str, Callable[[float], Any]]] = [
    ("exp", lambda _: ...), ("exp", lambda now: now), ("exp", lambda now: now - 1), ("exp", lambda _: None),
    ("exp", lambda now: str(now + 600)), ("exp", lambda _: True), ("exp", lambda _: float("inf")),
    ("exp", lambda _: float("nan")), ("exp", lambda _: [1]), ("exp", lambda _: {}),
    ("iat", lambda _: ...), ("iat", lambda now: now + 61), ("iat", lambda _: "0"), ("iat", lambda _: float("-inf")),
    ("nbf", lambda now: now + 61), ("nbf", str), ("nbf", lambda _: None),
]  # fmt: skip


@pytest.mark.requirement("attack-63", "RS-09", "RS-13")
@pytest.mark.parametrize(("claim", "value"), NOW, ids=[f"{name}-{n}" for n, (name, _) in enumerate(NOW)])
async def test_times_that_are_missing_past_future_or_no_numbers_are_refused(
    server: Running, http: httpx2.AsyncClient, claim: str, value: Callable[[float], Any]
) -> None:
    await _refused(http, await _genuine(server, **{claim: value(int(server.clock()))}))


@pytest.mark.requirement("attack-75", "attack-63")
async def test_a_clock_a_minute_ahead_is_forgiven(server: Running, http: httpx2.AsyncClient) -> None:
    soon = int(server.clock()) + 60
    await _accepted(http, await _genuine(server, iat=soon, nbf=soon))


CLAIMS: list[tuple[str, Any]] = [
    *((name, ...) for name in ("iss", "sub", "aud", "jti", "client_id", "scope")),
    *((name, value) for name in ("iss", "sub", "jti", "client_id", "scope") for value in (None, 1, ["x"], {})),
    ("iss", "https://evil.example"), ("iss", "{url}/"), ("iss", "{url}.evil.example"), ("iss", ""),
    ("aud", "https://other.example"), ("aud", "{url}.evil.example"), ("aud", "{url}/mcp-evil"), ("aud", "{url}/mcp/"),
    ("aud", "{url}/"), ("aud", "{cut}"), ("aud", ""), ("aud", None), ("aud", 1), ("aud", []), ("aud", {}),
    ("aud", ["https://other.example"]), ("aud", ["{url}", 1]), ("aud", [["{url}"]]), ("aud", "{url} {url}"),
]  # fmt: skip


def _filled(value: Any, url: str) -> Any:
    if isinstance(value, str):
        return value.format(url=url, cut=url[:-1])
    return [_filled(item, url) for item in value] if isinstance(value, list) else value


@pytest.mark.requirement("attack-63", "regression-8", "RS-09", "RS-10", "AS-38")
@pytest.mark.parametrize(("claim", "value"), CLAIMS, ids=[f"{name}={value}" for name, value in CLAIMS])
async def test_a_wrong_or_missing_claim_is_refused_even_when_signed_by_us(
    server: Running, http: httpx2.AsyncClient, claim: str, value: Any
) -> None:
    await _refused(http, await _genuine(server, **{claim: _filled(value, server.url)}))


@pytest.mark.requirement("attack-62", "attack-76")
async def test_what_is_not_exactly_a_token_is_refused(server: Running, http: httpx2.AsyncClient) -> None:
    token = await _genuine(server)
    header, payload, signature = token.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 64 bytes leave four unused bits in the last character: fifteen other spellings of one signature.
    unused_bits = signature[:-1] + alphabet[alphabet.index(signature[-1]) + 1]
    assert urlsafe_b64decode(unused_bits + "==") == urlsafe_b64decode(signature + "==")
    forms = [
        f"{token}=", f"{header}.{payload}.{unused_bits}", f"{header}.{payload}", f"{header}.{payload}.", f"{token}.",
        f".{payload}.{signature}", f"{header}..{signature}", f"{header}.{payload}.{signature}.{signature}.x",
        f"{header}.{payload[:-2]}AA.{signature}", "..", "...", "a.b.c", "é.é.é", f"{token} {token}", f'"{token}"',
        f"{b64(b'[]')}.{payload}.{signature}", f"{b64(b'[' * 3000)}.{payload}.{signature}", f"{token},{token}",
        "a" * 20_000,
    ]  # fmt: skip
    for form in forms:
        for path in ("/mcp", "/oauth/test"):
            reply = await http.get(path, headers={b"Authorization": b"Bearer " + form.encode()})
            assert (reply.status_code, challenge_of(reply)["error"]) == (401, "invalid_token"), form[:80]


@pytest.mark.requirement("attack-63", "RS-09", "RS-10")
async def test_each_resource_takes_only_tokens_that_name_it(server: Running, http: httpx2.AsyncClient) -> None:
    for_mcp = await token_for(server, "mcp:read", audience=[f"{server.url}/mcp"])
    assert [reply.status_code for reply in await _statuses(http, for_mcp)] == [200, 200, 401]
    # A token for two resources, as earlier releases issued them, is for neither (RFC 9068 section 3).
    both = await token_for(server, "mcp:read", audience=[server.url, f"{server.url}/mcp"])
    assert [reply.status_code for reply in await _statuses(http, both)] == [401, 401, 401]
