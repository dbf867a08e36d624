"""A client assertion is the client's own, for this server, short-lived and used once (RFC 7523 section 3)."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from oauth_server.core.capabilities import CLIENT_ASSERTION_ALGORITHMS
from oauth_server.core.errors import InvalidClientMetadataError
from tests.conftest import MakeServer
from tests.support.assertions import ASSERTION_TYPE, KeyedClient, jwks, key_of, keyed, posted
from tests.support.browser import Browser
from tests.support.clock import ManualClock
from tests.support.databases import Template
from tests.support.forging import compact, hs256, unsigned
from tests.support.oauth import b64
from tests.support.outside import assert_error, opens, registered, rows
from tests.support.publisher import Page, Publisher
from tests.support.server import Running, running

KEYS_URL = "https://machine.example/jwks.json"
KEYS = ("jwks", "jwks_uri")


def publish_keys(publisher: Publisher, document: Any = None) -> None:
    """Put a client's key set where its jwks_uri points."""
    document = jwks(key_of("client")) if document is None else document
    publisher.pages[KEYS_URL] = Page(
        json.dumps(document).encode(), headers={"Content-Type": "application/jwk-set+json"}
    )


@pytest.fixture(params=KEYS)
async def machine(
    request: pytest.FixtureRequest, server: Running, publisher: Publisher, closing: AsyncExitStack
) -> KeyedClient:
    """A client that signs, its keys registered with it or published."""
    publish_keys(publisher)
    return await keyed(closing, server, **({"jwks_uri": KEYS_URL} if request.param == "jwks_uri" else {}))


async def refused(client: KeyedClient, assertion: str, said: str = "") -> None:
    """Require that an assertion is no authentication anywhere, and leaves nothing behind."""
    before = rows(client.server)
    for path, form in (
        ("/oauth/token", {"grant_type": "client_credentials"}),
        ("/oauth/revoke", {"token": "x"}),
        ("/oauth/introspect", {"token": "x"}),
    ):
        reply = await client.http.post(path, data=client.signed(assertion, **form))
        assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client"), (path, reply.text)
        assert said in reply.json()["error_description"], reply.text
    assert_error(await client.own_token(assertion), 401, "invalid_client")
    assert rows(client.server) == before


async def accepted(client: KeyedClient, assertion: str | None = None) -> str:
    """Require that an assertion authenticates; returns the token."""
    reply = await client.own_token(assertion)
    assert reply.status_code == 200, reply.text
    token: str = reply.json()["access_token"]
    return token


@pytest.mark.requirement("AS-01", "attack-42")
async def test_a_good_assertion_authenticates_at_every_endpoint(machine: KeyedClient) -> None:
    token = await accepted(machine)
    assert await opens(machine.server, token) == (200, 200)
    assert (await posted(machine, "/oauth/introspect", token=token)).json()["active"] is True
    assert (await posted(machine, "/oauth/revoke", token=token)).status_code == 200
    assert await opens(machine.server, token) == (401, 401)
    metadata = (await machine.http.get("/.well-known/oauth-authorization-server")).json()
    await accepted(machine, machine.assertion(aud=metadata["issuer"]))
    # Another server may have the same token endpoint in its metadata (rfc7523bis): it is no audience.
    said = f"aud must be the issuer alone, as one string: {metadata['issuer']}"
    for audience in (
        metadata["token_endpoint"],
        [metadata["issuer"]],
        [metadata["issuer"], metadata["token_endpoint"]],
    ):
        await refused(machine, machine.assertion(aud=audience), said)
    for header in ({"typ": ...}, {"typ": "client-authentication+jwt"}, {"typ": "application/JWT"}, {"kid": ...}):
        await accepted(machine, machine.assertion(header))
    now = int(machine.server.clock())
    for claims in ({"iat": ...}, {"exp": now + 300}, {"exp": now + 1}, {"iat": now + 60}, {"nbf": now + 60}):
        await accepted(machine, machine.assertion(**claims))
    named = await machine.http.post(
        "/oauth/token", data=machine.signed(grant_type="client_credentials", client_id=machine.client_id)
    )
    assert named.status_code == 200, named.text


@pytest.mark.requirement("AS-01", "AS-02", "attack-42")
async def test_every_advertised_algorithm_authenticates_and_a_client_may_be_held_to_one(
    server: Running, closing: AsyncExitStack
) -> None:
    found = [key_of("client", alg) for alg in CLIENT_ASSERTION_ALGORITHMS]
    machine = await keyed(closing, server, jwks=jwks(*found))
    metadata = (await machine.http.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["token_endpoint_auth_signing_alg_values_supported"] == [key.alg for key in found]
    for key in found:
        await accepted(machine, machine.assertion(key=key))
        await accepted(machine, machine.assertion({"kid": ...}, key=key))
    one = await keyed(closing, server, jwks=jwks(*found), token_endpoint_auth_signing_alg="RS256")
    await refused(one, one.assertion(key=key_of("client")), "alg is 'ES256', accepted are RS256")
    await accepted(one, one.assertion(key=key_of("client", "RS256")))


@pytest.mark.requirement("attack-42")
async def test_a_kid_is_required_where_more_than_one_key_fits(server: Running, closing: AsyncExitStack) -> None:
    first, second = key_of("client"), key_of("second")
    both = await keyed(closing, server, jwks=jwks(first, second))
    for key in (first, second):
        await accepted(both, both.assertion(key=key))
        for header in ({"kid": ...}, {"kid": None}):
            await refused(
                both, both.assertion(header, key=key), "2 keys of the client take ES256, and the header has no kid"
            )
    same = await keyed(closing, server, jwks=jwks(first, second, kid="same"))
    await refused(same, same.assertion({"kid": "same"}), "they have the same kid")
    rsa = [key_of("client", alg) for alg in ("RS256", "RS384")]
    undecided = await keyed(closing, server, jwks=jwks(*rsa, alg=...))
    await accepted(undecided, undecided.assertion(key=rsa[0]))
    await refused(undecided, undecided.assertion({"kid": ...}, key=rsa[0]), "a kid must name one of them")


@pytest.mark.requirement("attack-42", "attack-62")
async def test_no_forged_signature_is_taken(machine: KeyedClient, publisher: Publisher) -> None:
    stranger, public = key_of("stranger"), machine.key.key.public_key
    theirs = stranger.public(kid=machine.key.kid)
    await refused(machine, machine.assertion({"alg": "none"}, sign=unsigned), "alg is 'none'")
    await refused(machine, machine.assertion({"alg": ...}, sign=unsigned), "alg is None")
    await refused(machine, machine.assertion({"alg": ["ES256"]}), "alg is something else")
    for encoding, form in (
        (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    ):
        secret = public.public_bytes(encoding, form)
        await refused(machine, machine.assertion({"alg": "HS256"}, sign=hs256(secret)), "alg is 'HS256'")
    secret = json.dumps(machine.key.public()).encode()
    await refused(machine, machine.assertion({"alg": "HS256"}, sign=hs256(secret)), "alg is 'HS256'")
    await refused(machine, machine.assertion(sign=stranger.sign), "signature does not verify")
    await refused(machine, machine.assertion({"kid": ...}, sign=stranger.sign), "signature does not verify")
    await refused(machine, machine.assertion({"alg": "ES384"}), "no key of the client")
    # Key material in the header is a stranger's word (RFC 8725 section 3.10).
    for member, value in (
        ("jwk", theirs),
        ("jku", "https://stranger.example/jwks.json"),
        ("x5u", "https://stranger.example/cert.pem"),
        ("x5c", ["MIIB"]),
    ):
        await refused(machine, machine.assertion({member: value}, sign=stranger.sign), "signature does not verify")
    for kid in ("unknown", stranger.kid, "", "../../dev/null", "' OR 1=1 --", 7, [machine.key.kid], {}):
        await refused(machine, machine.assertion({"kid": kid}), "kid")
    good = machine.assertion()
    head, payload, signature = good.split(".")
    other = machine.assertion().split(".")
    for forged in (f"{head}.{payload}.", f"{head}.{other[1]}.{signature}", f"{head}.{payload}.{signature[:-4]}AAAA"):
        await refused(machine, forged, "signature does not verify")
    assert not [url for url in publisher.asked if "stranger" in url]
    await accepted(machine, good)


@pytest.mark.requirement("attack-42")
async def test_each_claim_is_required_and_held_to_its_rule(server: Running, machine: KeyedClient) -> None:
    now, url = int(server.clock()), server.url
    wrong: list[tuple[dict[str, Any], str]] = [
        *(({"iss": value}, "iss is not the client_id") for value in (..., "", "https://other.example", 7, [machine.client_id])),
        *(
            ({"aud": value}, f"aud must be the issuer alone, as one string: {url}")
            for value in (
                ..., "", "https://other.example/oauth/token", [url], [url, "https://other.example"], {url: 1},
                f"{url}/", f"{url}/oauth/introspect", f"{url}/mcp", url.upper(), f"{url}.evil.example",
            )
        ),
        ({"exp": ...}, "exp is missing"),
        *(({"exp": value}, "exp is not a number") for value in (str(now + 60), None, True, [], float("nan"), float("inf"), 1e300)),
        *(({"exp": value}, "expired") for value in (now, now - 1, 0, -1)),
        *(({"exp": now + value}, "more than 300 seconds") for value in (361, 3600, 10**9)),
        ({"exp": now + 301, "iat": now - 3600}, "more than 300 seconds"),
        ({"exp": now + 400, "iat": ...}, "more than 300 seconds"),
        ({"iat": now + 61}, "not valid yet"),
        ({"iat": "now"}, "iat is not a number"),
        ({"nbf": now + 61}, "not valid yet"),
        ({"nbf": None}, "nbf is not a number"),
        *(({"jti": value}, "jti is missing") for value in (..., "", 7, None, ["x"], "x" * 257, "\ud800")),
    ]  # fmt: skip
    for claims, said in wrong:
        await refused(machine, machine.assertion(**claims), said)
    for header, said in (
        ({"crit": ["exp"]}, "critical"),
        ({"crit": []}, "critical"),
        *(({"typ": value}, "typ is") for value in ("at+jwt", "secevent+jwt", "", 7, None, "client-authentication")),
    ):
        await refused(machine, machine.assertion(header), said)
    await accepted(machine)


@pytest.mark.requirement("attack-42")
async def test_what_is_no_assertion_is_an_invalid_client(server: Running, machine: KeyedClient) -> None:
    good = machine.assertion()
    for text in ("x", "..", "e30.e30.", "a.b.c", good + ".x", good[:-1], " " + good, "é", "x" * 9000, "." * 100):
        await refused(machine, text)
    for payload in (b"[]", b"null", b"7", b"{", b"\xff", b'{"sub": 7}', b'{"sub": "\\ud800"}', b'{"sub": "a\\u0000b"}'):
        await refused(machine, compact({"alg": "ES256", "kid": machine.key.kid}, payload, machine.key.sign))
    form = {"grant_type": "client_credentials"}
    for extra in (
        {"client_assertion": good},
        {"client_assertion_type": ASSERTION_TYPE},
        {"client_assertion": good, "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
        {"client_assertion": good, "client_assertion_type": ASSERTION_TYPE, "client_id": "mcp-docker-server-default"},
        {"client_id": machine.client_id},
        {"client_id": machine.client_id, "client_secret": "guess"},
    ):
        assert_error(await machine.http.post("/oauth/token", data=form | extra), 401, "invalid_client")
    both = await machine.http.post("/oauth/token", data=machine.signed(good, **form, client_secret="x"))
    assert_error(both, 400, "invalid_request")
    await accepted(machine, good)


@pytest.mark.requirement("attack-42")
async def test_another_clients_assertion_is_not_this_ones(
    server: Running, machine: KeyedClient, closing: AsyncExitStack
) -> None:
    other = await keyed(closing, server, jwks=jwks(key_of("other")))
    other.key = key_of("other")
    # Signed by one key in the name of the other client, either way.
    await refused(machine, machine.assertion({"kid": other.key.kid}, sign=other.key.sign), "no key of the client")
    await refused(other, other.assertion({"kid": ...}, sign=machine.key.sign), "signature does not verify")
    await refused(machine, machine.assertion(iss=other.client_id), "iss is not the client_id")
    await refused(machine, machine.assertion(sub=other.client_id), "no key of the client")
    # A client that registered another method, or none, has no use for an assertion.
    for metadata in ({}, {"token_endpoint_auth_method": "client_secret_post"}):
        plain = await registered(closing, server, **metadata)
        await refused(machine, machine.assertion(iss=plain.client_id, sub=plain.client_id), "must authenticate by")


@pytest.mark.requirement("attack-42")
async def test_an_assertion_is_good_once(server: Running, machine: KeyedClient, closing: AsyncExitStack) -> None:
    assertion = machine.assertion(jti="one")
    await accepted(machine, assertion)
    await refused(machine, assertion, "used before")
    await refused(machine, machine.assertion(jti="one"), "used before")
    # At another endpoint as well; and the time it has left changes nothing.
    server.clock.advance(59)
    await refused(machine, assertion, "used before")
    other = await keyed(closing, server)
    await accepted(other, other.assertion(jti="one"))
    server.clock.advance(120)
    await refused(machine, assertion, "expired")
    assert len(rows(server)["assertions"]) == 2
    await accepted(machine, machine.assertion(jti="one"))
    assert len(rows(server)["assertions"]) == 1  # what ended is forgotten


@pytest.mark.requirement("attack-42")
async def test_an_assertion_that_one_server_took_is_used_up_at_the_other(
    make_server: MakeServer, closing: AsyncExitStack
) -> None:
    env = {"MCP_OAUTH_ISSUER": "http://localhost:8000"}
    async with make_server(**env) as one, make_server(**env) as two:
        machine = await keyed(closing, one)
        await machine.http.aclose()
        assertion = machine.assertion()
        statuses = []
        for server in (one, two, one, two):
            machine.http = two.client() if server is two else one.client()
            machine.http.base_url = f"http://127.0.0.1:{server.port}"
            async with machine.http:
                statuses.append((await machine.own_token(assertion)).status_code)
        assert statuses == [200, 401, 401, 401]


@pytest.mark.requirement("attack-42", "AS-01")
async def test_a_dynamically_registered_client_signs_too_and_its_keys_must_be_public_and_strong(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    made = await registered(closing, server, token_endpoint_auth_method="private_key_jwt", jwks=jwks(key_of("client")))
    client = KeyedClient(server, made.client_id)
    closing.push_async_callback(client.close)
    tokens = await client.tokens(browser)
    before = rows(server)
    assert_error(await made.refresh(tokens["refresh_token"]), 401, "invalid_client")
    stranger = client.signed(client.assertion(sign=key_of("stranger").sign))
    assert_error(await client.refresh(tokens["refresh_token"], **stranger), 401, "invalid_client")
    assert rows(server) == before
    assert (await client.refresh(tokens["refresh_token"])).status_code == 200


def _hostile_sets() -> dict[str, Any]:
    public, rsa = key_of("client").public(), key_of("client", "RS256").public()
    private = key_of("client").key.as_dict(private=True)
    modulus = key_of("client", "RS256").key.public_key.public_numbers().n
    return {
        "no set": [],
        "no keys": {},
        "empty": {"keys": []},
        "keys no list": {"keys": {"0": public}},
        "key no object": {"keys": ["x"]},
        "too many": {"keys": [public] * 21},
        "symmetric": {"keys": [public, {"kty": "oct", "k": "c2VjcmV0"}]},
        "symmetric in disguise": {"keys": [{**public, "k": "c2VjcmV0"}]},
        "private": {"keys": [private]},
        "private beside public": {"keys": [public, {**private, "use": "enc"}]},
        "primes": {"keys": [{**rsa, "p": "AQAB", "q": "AQAB"}]},
        "weak": {"keys": [_rsa(1024)]},
        "long": {"keys": [_rsa(4104)]},
        "huge": {"keys": [_rsa(8192)]},
        "enormous": {"keys": [_rsa(80_000)]},
        "large exponent": {"keys": [{**rsa, "e": b64((2**32 + 1).to_bytes(5, "big"))}]},
        "no exponent": {"keys": [{**rsa, "e": "AQ"}]},
        "even exponent": {"keys": [{**rsa, "e": "BA"}]},
        "even modulus": {"keys": [{**rsa, "n": b64((modulus - 1).to_bytes(256, "big"))}]},
        "not base64url": {"keys": [{**public, "x": "+/=="}]},
        "beyond the field": {"keys": [{**public, "x": b64(b"\xff" * 32)}]},
        "slow": {"keys": [{**rsa, "e": b64((modulus - 2).to_bytes(256, "big"))}]},
        "off the curve": {"keys": [{**public, "y": public["x"]}]},
        "kty a list": {"keys": [{**public, "kty": ["EC"]}]},
        "crv an object": {"keys": [{**public, "crv": {}}]},
        "alg a list": {"keys": [{**public, "alg": ["ES256"]}]},
        "x a number": {"keys": [{**public, "x": 7}]},
        "n missing": {"keys": [{"kty": "RSA", "e": "AQAB"}]},
        "another curve": {"keys": [{**public, "crv": "secp256k1"}]},
        "for encryption": {"keys": [{**public, "use": "enc"}]},
        "for signing alone": {"keys": [{**public, "key_ops": ["sign"]}]},
        "key_ops a text": {"keys": [{**public, "key_ops": "verify"}]},
        "PSS alone": {"keys": [{**rsa, "alg": "PS256"}]},
    }


def _rsa(bits: int) -> dict[str, Any]:
    return {"kty": "RSA", "n": b64(((1 << bits) - 1).to_bytes(bits // 8 + 1, "big").lstrip(b"\0")), "e": "AQAB"}


@pytest.mark.requirement("attack-42", "AS-01")
async def test_keys_that_are_secret_weak_or_no_keys_are_not_registered(server: Running) -> None:
    before = rows(server)
    body = {"redirect_uris": ["http://localhost/cb"], "token_endpoint_auth_method": "private_key_jwt"}
    async with server.client() as http:
        for name, found in _hostile_sets().items():
            reply = await http.post("/oauth/register", json=body | {"jwks": found})
            assert (reply.status_code, reply.json()["error"]) == (400, "invalid_client_metadata"), name
        for extra in (
            {},
            {"jwks": jwks(key_of("client")), "jwks_uri": KEYS_URL},
            *(
                {"jwks_uri": uri}
                for uri in ("", "http://machine.example/jwks.json", "jwks.json", "file:///etc/passwd", 7)
            ),
            {"jwks": jwks(key_of("client")), "token_endpoint_auth_signing_alg": "HS256"},
            {"jwks": jwks(key_of("client")), "token_endpoint_auth_signing_alg": "none"},
        ):
            reply = await http.post("/oauth/register", json=body | extra)
            assert (reply.status_code, reply.json()["error"]) == (400, "invalid_client_metadata"), extra
    assert rows(server) == before


@pytest.mark.requirement("attack-42", "attack-59")
async def test_published_keys_that_are_secret_weak_or_no_keys_authenticate_nobody(
    server: Running, publisher: Publisher, closing: AsyncExitStack
) -> None:
    machine = await keyed(closing, server, jwks_uri=KEYS_URL)
    for name, found in _hostile_sets().items():
        publish_keys(publisher, found)
        reply = await machine.own_token()
        assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client"), name
        assert "the client's key set cannot be used" in reply.json()["error_description"], (name, reply.text)
        server.clock.advance(61)
    publish_keys(publisher)
    await accepted(machine)


@pytest.mark.requirement("attack-42", "attack-59")
async def test_published_keys_are_fetched_without_redirects_kept_and_asked_for_again_when_a_key_is_new(
    server: Running, publisher: Publisher, closing: AsyncExitStack
) -> None:
    publish_keys(publisher)
    publisher.headers({"Cache-Control": "max-age=3600"}, KEYS_URL)
    machine = await keyed(closing, server, jwks_uri=KEYS_URL)
    old, new = machine.key, key_of("rotated")
    for _ in range(3):
        await accepted(machine)
    assert publisher.asked == {KEYS_URL: 1}
    publisher.pages[KEYS_URL].body = json.dumps(jwks(old, new)).encode()
    # Strangers cannot make this server fetch at will: it asks at most once a minute for a kid it does not know.
    await refused(machine, machine.assertion(key=new), "no key of the client")
    server.clock.advance(60)
    await refused(machine, machine.assertion(key=new), "no key of the client")
    assert publisher.asked[KEYS_URL] == 1
    server.clock.advance(1)
    await accepted(machine, machine.assertion(key=new))
    await accepted(machine, machine.assertion(key=old))
    await refused(machine, machine.assertion({"kid": "unknown"}), "no key of the client")
    assert publisher.asked[KEYS_URL] == 2
    # The old key goes when the time is over for which the set may be kept.
    publisher.pages[KEYS_URL].body = json.dumps(jwks(new)).encode()
    server.clock.advance(3600)
    await refused(machine, machine.assertion(key=old), "no key of the client")
    await accepted(machine, machine.assertion(key=new))
    assert publisher.asked[KEYS_URL] == 3


@pytest.mark.requirement("attack-42", "attack-59")
async def test_keys_that_cannot_be_fetched_authenticate_nobody_and_are_not_asked_for_at_once_again(
    server: Running, publisher: Publisher, closing: AsyncExitStack
) -> None:
    machine = await keyed(closing, server, jwks_uri=KEYS_URL)
    await refused(machine, machine.assertion(), "the client's key set could not be fetched.")
    assert publisher.asked == {KEYS_URL: 1}
    publish_keys(publisher)
    server.clock.advance(59)
    await refused(machine, machine.assertion())
    server.clock.advance(1)
    await accepted(machine)
    publisher.pages[KEYS_URL] = Page(b"", 302, {"Location": "https://169.254.169.254/"})
    server.clock.advance(301)
    await refused(machine, machine.assertion(), "status 302")
    assert set(publisher.asked) == {KEYS_URL}


@pytest.mark.requirement("attack-42")
async def test_a_stranger_with_an_unknown_kid_does_not_lock_a_client_out_whose_host_is_down(
    server: Running, publisher: Publisher, closing: AsyncExitStack
) -> None:
    publish_keys(publisher)
    machine = await keyed(closing, server, jwks_uri=KEYS_URL)
    await accepted(machine)
    del publisher.pages[KEYS_URL]
    server.clock.advance(100)
    await refused(machine, machine.assertion({"kid": "unknown"}), "kid")
    assert publisher.asked[KEYS_URL] == 2
    await accepted(machine)
    await refused(machine, machine.assertion({"kid": "unknown"}), "kid")
    assert publisher.asked[KEYS_URL] == 2
    server.clock.advance(200)  # 300 seconds are over, for which it may be kept
    await refused(machine, machine.assertion(), "could not be fetched")


@pytest.mark.requirement("attack-59")
async def test_the_key_set_of_a_client_is_never_fetched_from_inside_the_network(
    template: Template, tmp_path: Path, clock: ManualClock, closing: AsyncExitStack
) -> None:
    reached: list[object] = []
    inside = await asyncio.start_server(lambda _, writer: reached.append(writer), "localhost", 0)
    port = inside.sockets[0].getsockname()[1]
    async with running(template, tmp_path, {}, clock) as server, inside:
        for host in ("[::ffff:127.0.0.1]", "2130706433"):
            with pytest.raises(InvalidClientMetadataError):
                await keyed(closing, server, jwks_uri=f"https://{host}:{port}/jwks.json")
        for host in ("127.0.0.1", "[::1]", "localhost", "169.254.169.254"):
            machine = await keyed(closing, server, jwks_uri=f"https://{host}:{port}/jwks.json")
            await refused(machine, machine.assertion(), "could not be fetched")
    assert reached == []
