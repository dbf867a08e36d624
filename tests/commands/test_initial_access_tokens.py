"""`initial-access-tokens`, and what `clients add` gives only by the operator's hand."""

import json

import httpx2
import pytest

from tests.commands.conftest import Shell
from tests.conftest import MakeServer
from tests.support.server import Running

METADATA = {"redirect_uris": ["http://localhost/callback"]}


@pytest.mark.requirement("AS-22")
async def test_token_registers_as_often_as_it_says_and_is_deleted_by_its_id(
    make_server: MakeServer, shell: Shell
) -> None:
    async with make_server(MCP_OAUTH_DYNAMIC_REGISTRATION="false") as server:
        shell.location = server.location
        made = json.loads(await shell.says("initial-access-tokens", "create", "--uses", "2", "--json"))
        headers = {"Authorization": f"Bearer {made['initial_access_token']}"}
        async with httpx2.AsyncClient(base_url=server.url, headers=headers) as http:
            assert (await http.post("/oauth/register", json=METADATA)).status_code == 201
            (listed,) = map(json.loads, (await shell.says("initial-access-tokens", "list", "--json")).splitlines())
            assert (listed["id"], listed["uses_left"]) == (made["id"], 1)
            assert made["initial_access_token"] not in await shell.says("initial-access-tokens", "list")
            assert made["id"] in await shell.says("initial-access-tokens", "delete", made["id"])
            assert (await http.post("/oauth/register", json=METADATA)).status_code == 401
        gone = await shell("initial-access-tokens", "delete", made["id"])
        assert (gone.status, gone.err.count("\n")) == (1, 1)
        events = [json.loads(line)["event"] for line in (await shell.says("audit", "--json")).splitlines()]
        assert [e for e in events if e.startswith("initial_")] == [
            "initial_access_token.created",
            "initial_access_token.deleted",
        ]


@pytest.mark.parametrize(
    "words",
    [("--uses", "0"), ("--uses", "10001"), ("--expires-in", "soon"), ("--expires-in", "1s"), ("--expires-in", "400d")],
)
async def test_numbers_out_of_range_are_refused_in_one_line(
    server: Running, shell: Shell, words: tuple[str, str]
) -> None:
    ended = await shell("initial-access-tokens", "create", *words)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert "accepted:" in ended.err
    assert "No initial access tokens" in (await shell("initial-access-tokens", "list")).err


@pytest.mark.requirement("attack-43")
async def test_client_for_itself_is_added_by_command_and_gets_a_token(server: Running, shell: Shell) -> None:
    words = ("clients", "add", "--name", "Robot", "--grant-type", "client_credentials")
    public = await shell(*words)
    assert (public.status, "client_credentials needs a client that authenticates" in public.err) == (2, True)
    added = await shell(*words, "--auth-method", "client_secret_basic", "--scope", "mcp:read", "--json")
    robot = json.loads(added.out)
    assert (robot["grant_types"], robot["response_types"]) == (["client_credentials"], [])
    async with server.client() as http:
        auth = (robot["client_id"], robot["client_secret"])
        reply = await http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=auth)
    assert (reply.status_code, reply.json()["scope"]) == (200, "mcp:read")
    assert "refresh_token" not in reply.json()


@pytest.mark.requirement("attack-72")
async def test_client_with_a_resource_may_introspect_its_tokens(server: Running, shell: Shell) -> None:
    secret = ("--auth-method", "client_secret_basic", "--grant-type", "client_credentials", "--json")
    api, other, robot = [
        json.loads((await shell("clients", "add", "--name", name, *more, *secret)).out)
        for name, more in (("API", ("--resource", server.url)), ("Other", ()), ("Robot", ()))
    ]
    shown = json.loads(await shell.says("clients", "show", api["client_id"], "--json"))
    assert shown["resources"] == [server.url]
    async with server.client() as http:
        as_robot = (robot["client_id"], robot["client_secret"])
        issued = await http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=as_robot)
        form = {"token": issued.json()["access_token"]}
        for caller, active in ((api, True), (other, False)):
            auth = (caller["client_id"], caller["client_secret"])
            assert (await http.post("/oauth/introspect", data=form, auth=auth)).json()["active"] is active
    bad = await shell("clients", "add", "--name", "Bad", "--resource", "not a uri", *secret)
    assert (bad.status, bad.err.count("\n")) == (2, 1)
