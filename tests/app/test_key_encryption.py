"""Signing keys at rest: sealed under the operator's key, opened by that key alone."""

import json
import sqlite3
from base64 import b64encode
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import Connection, update

from oauth_server.core.key_rotation import KeyRotation
from oauth_server.core.key_sealing import Sealing
from oauth_server.core.settings import SettingsError, load
from oauth_server.store.records import Revocation, SigningKey
from oauth_server.store.schema import signing_keys
from oauth_server.store.verbs import revocations
from tests.conftest import MakeServer
from tests.support.browser import Browser
from tests.support.mcp_http import ask, mcp_client, token_for
from tests.support.oauth import OAuthClient, Pkce
from tests.support.outside import assert_error
from tests.support.program import SERVER, environment, free_port, run
from tests.support.server import Running

KEY, OTHER = (b64encode(bytes([n]) * 32).decode() for n in (1, 2))
NAME = "MCP_OAUTH_KEY_ENCRYPTION_KEY"
PEM = "-----BEGIN PRIVATE KEY-----"


def stored(database: Path) -> dict[str, str]:
    """The private keys as the database has them."""
    with closing(sqlite3.connect(database)) as kept:
        return dict(kept.execute("SELECT kid, private_pem FROM signing_keys").fetchall())


async def accepted(server: Running, token: str) -> int:
    """What the MCP endpoint answers to a token of an issuer whose port is another one."""
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http:
        return (await ask(http, "modern", "tools/list", token=token)).status_code


@pytest.mark.requirement("attack-73")
async def test_plain_keys_are_sealed_at_the_next_start_and_go_on_to_verify(
    make_server: MakeServer, tmp_path: Path
) -> None:
    env = {"MCP_OAUTH_ISSUER": "http://localhost:8000"}
    async with make_server(**env) as server:
        plain, token = stored(server.database), await token_for(server, "mcp:read")
    assert all(PEM in pem for pem in plain.values())
    async with make_server(**{NAME: KEY}, **env) as server:
        sealed = stored(server.database)
        assert await accepted(server, token) == 200
    assert sealed.keys() == plain.keys()
    assert all(text.startswith("aes-256-gcm:") for text in sealed.values())
    (tmp_path / "key").write_text(KEY + "\n")
    async with make_server(**{f"{NAME}_FILE": str(tmp_path / "key")}, **env) as server:
        assert stored(server.database) == sealed
        assert await accepted(server, token) == 200


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("given", "problem"),
    [("", "is not set, and the signing keys in the database are encrypted"), (OTHER, "does not open")],
)
@pytest.mark.requirement("attack-71", "attack-73")
async def test_a_missing_or_wrong_key_stops_the_start_with_one_line(
    make_server: MakeServer, tmp_path: Path, given: str, problem: str, workers: str
) -> None:
    async with make_server(**{NAME: KEY}) as server:
        before = stored(server.database)
    options = ("--port", str(free_port()), "--workers", workers)
    ended = await run(*SERVER, *options, env=environment(tmp_path, **{NAME: given}))
    assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1), ended.err
    assert ended.lines[0].startswith(f"{NAME}: {problem}")
    assert ended.lines[0].endswith("; accepted: the key that the signing keys were encrypted with")
    assert OTHER not in ended.err
    assert stored(tmp_path / "oauth.db") == before


async def test_a_start_that_names_both_keys_encrypts_anew_under_the_first(
    make_server: MakeServer, tmp_path: Path
) -> None:
    env = {"MCP_OAUTH_ISSUER": "http://localhost:8000"}
    async with make_server(**{NAME: KEY}, **env) as server:
        before, token = stored(server.database), await token_for(server, "mcp:read")
    (tmp_path / "keys").write_text(f"{OTHER}\n{KEY}\n")
    async with make_server(**{f"{NAME}_FILE": str(tmp_path / "keys")}, **env) as server:
        after = stored(server.database)
        assert await accepted(server, token) == 200
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
    assert all(text.startswith("aes-256-gcm:") for text in after.values())
    async with make_server(**{NAME: OTHER}, **env) as server:
        assert stored(server.database) == after


async def test_where_no_key_can_be_read_any_more_nothing_is_used_up_and_the_key_set_is_what_is_left(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    tokens = await client.tokens(browser)
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    access = server.services.tokens.keys.sign_access.kid

    def leave_a_key_of_another_encryption_key(connection: Connection) -> None:
        theirs = {"kid": "theirs", "private_pem": "aes-256-gcm:AAAA"}
        connection.execute(update(signing_keys).where(signing_keys.c.kid == access).values(theirs))
        revocations.revoke(connection, [Revocation("keys", "", server.clock(), server.clock() + 86_400)])

    await server.services.store.write(leave_a_key_of_another_encryption_key)
    await server.services.revoked.refresh()
    for _ in range(2):
        for reply in (await client.redeem(code, pkce), await client.refresh(tokens["refresh_token"])):
            assert_error(reply, 503, "temporarily_unavailable")
            assert reply.headers["retry-after"] == "5"
    async with server.client() as http:
        ready, route, alive, keys = [
            await http.get(path) for path in ("/readyz", "/routez", "/healthz", "/.well-known/jwks.json")
        ]
        for probe in (ready, route):
            assert (probe.status_code, probe.json()["keys"]) == (503, "unreadable")
            assert probe.headers["retry-after"] == "5"
        assert alive.status_code == keys.status_code == 200
        assert [key["alg"] for key in keys.json()["keys"]] == ["RS256"]
        assert (await ask(http, "modern", "tools/list", token=tokens["access_token"])).status_code == 401
        # It signs nothing, so that it may be retired although it is the last.
        assert await KeyRotation(server.services.store, load({}), server.clock).retire("theirs") == "retired"
        await server.services.revoked.refresh()
        assert [(await http.get(path)).status_code for path in ("/readyz", "/routez")] == [200, 200]
    assert (await client.redeem(code, pkce)).status_code == 200
    assert (await client.refresh(tokens["refresh_token"])).status_code == 200


@pytest.mark.requirement("attack-73")
async def test_the_key_is_told_nowhere_but_that_it_is_set(
    make_server: MakeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    async with make_server(**{NAME: KEY}, MCP_LOG_LEVEL="debug") as server:
        async with mcp_client(server, await token_for(server, "mcp:admin"), "auto") as client:
            result = await client.call_tool("mcp_oauth_get_configuration")
            said = json.dumps(result.structured_content) + result.content[0].text
            said += (await client.read_resource("oauth://configuration"))[0].text
        settings = server.services.deployment.settings
    assert KEY not in said + repr(settings) + str(settings.shown()) + "".join(capfd.readouterr())
    assert f"{NAME} = set (environment)" in said


def test_a_sealed_key_opens_under_its_own_kid_alone() -> None:
    sealing = Sealing(load({NAME: KEY}))
    sealed = sealing.seal("a", "a pem")
    assert sealed != sealing.seal("a", "a pem")
    assert sealing.open(SigningKey("a", "access", "ES256", sealed, 0, 0)) == "a pem"
    flipped = sealed[:-6] + ("A" if sealed[-6] != "A" else "B") + sealed[-5:]
    for kid, text in (("b", sealed), ("a", flipped), ("a", sealed[:30]), ("a", "aes-256-gcm:"), ("a", "aes-256-gcm:é")):
        with pytest.raises(SettingsError, match=f"does not open the signing key {kid} "):
            sealing.open(SigningKey(kid, "access", "ES256", text, 0, 0))
