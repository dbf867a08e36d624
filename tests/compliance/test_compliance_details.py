"""Single rules where a server may be right in more than one way."""

import json
from collections.abc import Callable

import httpx2
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from flawed_documents import EC_KEY, PUBLIC_PEM, RSA_KEY, TOKEN, document
from flawed_server import FlawedServer

from oauth_server.compliance import LIMITS, Report, Result, SpecVersion, audit
from oauth_server.compliance.checks.jwks import modulus_bits
from oauth_server.compliance.jws import public_pem
from oauth_server.compliance.model import VERSIONS
from oauth_server.outbound import Outbound

BASE = "https://mcp.example"
Answer = Callable[[httpx2.Request], httpx2.Response]


async def run(answer: Answer, target: str = f"{BASE}/mcp", spec_version: SpecVersion = "2026-07-28") -> Report:
    outbound = Outbound(transport=httpx2.MockTransport(answer), limits=LIMITS["adversarial"])
    return await audit(target, outbound=outbound, depth="adversarial", spec_version=spec_version)


def result(report: Report, name: str) -> Result:
    return next(result for result in report.checks if result.check.id == name)


def served(name: str, base: str = BASE, **members: object) -> httpx2.Response:
    return httpx2.Response(200, json={**document(name, base, ""), **members})


def test_published_keys_are_read_as_pem() -> None:
    assert public_pem(EC_KEY) == PUBLIC_PEM
    public = load_pem_public_key(public_pem(RSA_KEY))
    assert getattr(public, "key_size", 0) == modulus_bits(RSA_KEY) == 2048
    broken = [
        {},
        {"kty": "RSA", "n": 1, "e": "AQAB"},
        {**EC_KEY, "crv": "P-0"},
        {**EC_KEY, "x": "AA"},
        {**RSA_KEY, "n": "_" * 9000},
    ]
    for key in broken:
        with pytest.raises(ValueError, match=r".+"):
            public_pem(key)
    assert modulus_bits({"n": "é"}) == modulus_bits({"n": "A"}) == modulus_bits({}) == 0


async def test_without_a_usable_key_no_algorithm_is_confused() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if "protected-resource" in request.url.path:
            return served("prm")
        if "oauth-authorization-server" in request.url.path:
            return served("asm")
        if request.url.path == "/jwks":
            return httpx2.Response(200, json={"keys": [{"kty": "OKP", "kid": "1"}]})
        return httpx2.Response(401, headers={"WWW-Authenticate": "Bearer"})

    judged = result(await run(answer), "bearer-confused-algorithm")
    assert (judged.status, "no key of" in judged.summary) == ("skip", True)


@pytest.mark.parametrize("place", [None, "https://other.example/register/1", "nowhere"])
async def test_a_registration_is_deleted_at_its_own_server_alone(place: str | None) -> None:
    asked: list[tuple[str, str]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append((request.method, str(request.url)))
        if request.url.path == "/register":
            members = {"registration_client_uri": place, "registration_access_token": "r" * 20} if place else {}
            return httpx2.Response(201, json={"client_id": "1", **members})
        if "oauth-authorization-server" in request.url.path:
            return served("asm")
        return httpx2.Response(404)

    report = await run(answer)
    judged = result(report, "register-javascript")
    assert judged.status == "fail"
    assert "was registered with the redirect URI javascript:" in judged.summary
    assert report.left == ("The client 1 stays registered: the server gave it no way to delete itself.",)
    assert not [url for method, url in asked if method == "DELETE"]


async def test_the_root_is_found_to_be_the_endpoint() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/":
            return httpx2.Response(401, headers={"WWW-Authenticate": 'Bearer scope="mcp:read"'})
        if request.url.path == "/.well-known/oauth-protected-resource":
            return served("prm", resource=f"{BASE}/")
        return httpx2.Response(404)

    report = await run(answer, target=f"{BASE}/")
    for name in ("challenge-status", "challenge-scope", "prm-found", "prm-at-inserted-path", "prm-resource-matches"):
        assert result(report, name).status == "pass", name


async def test_an_origin_that_cannot_be_reached_is_all_errors() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    report = await run(answer, target=BASE)
    assert result(report, "challenge-status").status == "error"
    assert {item.status for item in report.checks} == {"error", "skip"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("token", "status"), [("", "skip"), (TOKEN, "fail"), ("no-such-token", "skip")])
async def test_an_origin_that_is_asked_for_its_token_first_is_judged_with_one(
    version: SpecVersion, token: str, status: str
) -> None:
    outbound = Outbound(transport=FlawedServer("transport-origin").transport(), limits=LIMITS["adversarial"])
    report = await audit(
        f"{BASE}/mcp", outbound=outbound, depth="adversarial", spec_version=version, access_token=token
    )
    assert result(report, "transport-origin").status == status


async def test_a_preflight_from_an_origin_that_is_not_allowed_says_nothing() -> None:
    judged = result(await run(lambda _: httpx2.Response(403)), "cors-preflight")
    assert judged.status == "skip"


async def test_metadata_on_another_server_says_nothing_about_host() -> None:
    elsewhere = "http://127.0.0.1:9000"

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.port == 9000:
            return served("prm", resource="http://127.0.0.1:8000/mcp")
        header = f'Bearer resource_metadata="{elsewhere}/metadata"'
        return httpx2.Response(401, headers={"WWW-Authenticate": header}, content=json.dumps({}))

    judged = result(await run(answer, target="http://127.0.0.1:8000/mcp"), "transport-host")
    assert (judged.status, judged.summary) == ("skip", "the metadata is on another server")
