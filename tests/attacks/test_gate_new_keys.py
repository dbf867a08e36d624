"""Signing keys that another process made a moment ago: what they signed is good at once, in every process."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from oauth_server.core.key_ring import SEEK_APART
from oauth_server.core.key_rotation import KeyRotation
from oauth_server.core.settings import load
from oauth_server.store.verbs import keys as verbs
from tests.attacks.test_gate_keys import elsewhere, http, statuses
from tests.support.assertions import operators, posted
from tests.support.clock import ManualClock
from tests.support.databases import Template, both_engines
from tests.support.forging import compact, es256, good_claims
from tests.support.mcp_http import user_id
from tests.support.oauth import OAuthClient
from tests.support.server import Running, running

__all__ = ["elsewhere", "http"]
pytestmark = both_engines


@pytest.mark.requirement("RS-09", "RS-13")
async def test_what_a_new_key_signed_is_good_before_the_process_has_looked_for_changes(
    server: Running, http: httpx2.AsyncClient, elsewhere: KeyRotation
) -> None:
    async with AsyncExitStack() as closing:
        api = await operators(closing, server, resources=(server.url,))
        for _ in range(6):
            made, _ = await elsewhere.rotate("access", at_once=True)
            key = load_pem_private_key(made.private_pem.encode(), None)
            claims = good_claims(server, await user_id(server), scope="mcp:read openid")
            token = compact({"alg": "ES256", "typ": "at+jwt", "kid": made.kid}, claims, es256(key))  # type: ignore[arg-type]
            answer = await posted(api, "/oauth/introspect", token=token)
            assert answer.json()["active"] is True
            assert await statuses(http, token) == {200}
            server.clock.advance(1)


@pytest.mark.requirement("RS-13", "AS-30")
async def test_two_replicas_take_each_others_tokens_through_rotations_at_once(
    template: Template, tmp_path: Path
) -> None:
    clock = ManualClock()
    async with AsyncExitStack() as closing:
        url = "https://replicas.example"
        env = {"MCP_OAUTH_ISSUER": url}
        one, other = [await closing.enter_async_context(running(template, tmp_path, env, clock)) for _ in "12"]
        clients = [OAuthClient(each) for each in (one, other)]
        for client in clients:
            client.http = httpx2.AsyncClient(
                base_url=f"http://127.0.0.1:{client.server.port}", headers={"Host": "replicas.example"}
            )
            closing.push_async_callback(client.http.aclose)
        rotation = KeyRotation(one.services.store, load({}), clock)
        tokens = one.services.tokens
        for _ in range(8):
            clock.advance(1)
            await rotation.rotate("access", at_once=True)
            await rotation.rotate("id", at_once=True)
            await one.services.revoked.refresh()
            token = tokens.issue_access(
                subject=await user_id(one), client_id="c", scope=("mcp:read",), audience=url, grant_id="g"
            )
            found = await other.services.tokens.verify(token)
            assert found.scope == ("mcp:read",)
            hint = tokens.issue_id(subject="s", client_id="c", auth_time=0, nonce=None, access_token=token)
            assert await other.services.tokens.id_token_hint(hint) == ("s", "c")


@pytest.mark.requirement("attack-62", "RS-13")
async def test_tokens_of_unknown_keys_cause_few_looks_however_many_come(
    server: Running, http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    read = server.services.store.read

    async def counted(verb: object, *args: object) -> object:
        if verb is verbs.listed:
            looks.append(time.monotonic())
        return await read(verb, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(server.services.store, "read", counted)
    claims = good_claims(server, await user_id(server))

    def forged(number: int) -> dict[str, str]:
        header = {"alg": "ES256", "typ": "at+jwt", "kid": f"{number:043d}"}
        return {"Authorization": f"Bearer {compact(header, claims, lambda _: bytes(64))}"}

    began = time.monotonic()
    replies = await asyncio.gather(*(http.get("/oauth/test", headers=forged(number)) for number in range(200)))
    assert {reply.status_code for reply in replies} == {401}
    assert 1 <= len(looks) <= 2 + (time.monotonic() - began) / SEEK_APART
    # A kid that is no name of a key of this server is refused without a look.
    looks.clear()
    short = compact({"alg": "ES256", "typ": "at+jwt", "kid": "short"}, claims, lambda _: bytes(64))
    assert (await http.get("/oauth/test", headers={"Authorization": f"Bearer {short}"})).status_code == 401
    assert looks == []
