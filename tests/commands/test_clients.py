"""`clients`: listed, shown, registered by the rules of /oauth/register, deleted."""

import json
from typing import Any

import pytest

from tests.commands.conftest import Shell
from tests.support.oauth import DEFAULT_CLIENT
from tests.support.tampering import tamper

CALLBACK = "https://portal.example/callback"
HOSTILE = "\x1b]0;owned\x07\u202eevil\r\n\x9b2J"


async def added(shell: Shell, *words: str) -> dict[str, Any]:
    """A client registered by command, as the answer to a program."""
    ended = await shell("clients", "add", "--redirect-uri", CALLBACK, *words, "--json")
    assert ended.status == 0, ended
    answer: dict[str, Any] = json.loads(ended.out)
    return answer


async def test_a_public_client_is_registered_with_the_defaults_of_registration(shell: Shell) -> None:
    answer = await added(shell, "--name", "Portal")
    assert answer.pop("client_id_issued_at") > 0
    client_id = answer.pop("client_id")
    assert answer == {
        "client_name": "Portal",
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "application_type": "web",
    }
    shown = json.loads(await shell.says("clients", "show", client_id, "--json"))
    assert shown.pop("created_at") > 0
    assert shown == answer | {"client_id": client_id, "source": "registered", "last_used_at": None, "live_grants": 0}
    (event,) = map(json.loads, (await shell.says("audit", "--client", client_id, "--json")).splitlines())
    assert (event["event"], event["address"], event["detail"]) == ("client.registered", "local", "Portal")


async def test_every_metadata_option_is_registered(shell: Shell) -> None:
    answer = await added(
        *(shell, "--redirect-uri", "https://portal.example/other", "--scope", "mcp:read unknown openid"),
        *("--post-logout-redirect-uri", "https://portal.example/bye", "--auth-method", "client_secret_post"),
    )
    assert answer["redirect_uris"] == [CALLBACK, "https://portal.example/other"]
    assert answer["post_logout_redirect_uris"] == ["https://portal.example/bye"]
    assert (answer["scope"], answer["token_endpoint_auth_method"]) == ("mcp:read openid", "client_secret_post")


async def test_a_secret_is_shown_once_and_never_again(shell: Shell) -> None:
    ended = await shell("clients", "add", "--redirect-uri", CALLBACK, "--auth-method", "client_secret_basic")
    assert (ended.status, ended.err) == (
        0,
        "The client_secret is shown only now: keep it where the client finds it.\n",
    )
    shown = dict(line.split(maxsplit=1) for line in ended.out.splitlines() if not line.startswith(" "))
    secret, client_id = shown["client_secret"], shown["client_id"]
    assert len(secret) == 43
    for words in (("clients", "show", client_id), ("clients", "list"), ("audit",)):
        for form in ((), ("--json",)):
            said = await shell.says(*words, *form)
            assert secret not in said
            assert "hash" not in said


async def test_registration_on_the_command_line_works_where_open_registration_is_off(shell: Shell) -> None:
    shell.env["MCP_OAUTH_DYNAMIC_REGISTRATION"] = "false"
    assert (await added(shell))["client_id"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--redirect-uri", "http://portal.example/cb"), "invalid_redirect_uri: "),
        (("--redirect-uri", "javascript:alert(1)"), "invalid_redirect_uri: "),
        (("--redirect-uri", CALLBACK, "--name", "x" * 600), "invalid_client_metadata: client_name "),
        (("--redirect-uri", CALLBACK, "--auth-method", "tls_client_auth"), 'Invalid value "tls_client_auth"'),
        (("--name", "Portal"), "invalid_redirect_uri: redirect_uris must be a list with at least one URI."),
    ],
    ids=["plain-http", "script", "name", "method", "no-uri"],
)
async def test_what_registration_refuses_is_told_in_one_line(
    shell: Shell, words: tuple[str, ...], problem: str
) -> None:
    before = await shell.says("clients", "list")
    ended = await shell("clients", "add", *words)
    assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1), ended
    assert ended.err.startswith(problem)
    assert await shell.says("clients", "list") == before


async def test_the_list_shows_kind_and_origin_the_newest_first(shell: Shell) -> None:
    portal = await added(shell, "--name", "Portal", "--auth-method", "client_secret_basic")
    header, first, second = (await shell.says("clients", "list")).splitlines()
    assert header.split() == [*("CLIENT", "ID", "NAME", "TYPE", "REGISTERED", "BY", "LAST", "USED"), "REDIRECT", "URIS"]
    assert first.split()[:3] == [portal["client_id"], "Portal", "confidential"]
    assert first.split()[4:] == ["registration", "never", "1"]
    assert second.split()[0] == DEFAULT_CLIENT
    assert second.split()[-4:] == [*second.split()[-4:-3], "configuration", "never", "3"]
    limited = await shell("clients", "list", "--limit", "1", "--json")
    assert [json.loads(line)["client_id"] for line in limited.out.splitlines()] == [portal["client_id"]]
    assert limited.err == "There are more: these are the newest 1; --limit shows others.\n"
    assert (await shell("clients", "list", "--limit", "0")).status == 2


@pytest.mark.requirement("attack-20")
async def test_what_strangers_write_reaches_no_terminal_as_a_command(shell: Shell) -> None:
    client_id = (await added(shell, "--name", HOSTILE))["client_id"]
    said = [await shell.says("clients", "list"), await shell.says("clients", "show", client_id)]
    said += [await shell.says("audit"), await shell.says("clients", "delete", client_id, "--yes")]
    said += [(await shell("clients", "show", HOSTILE)).err, (await shell("users", "enable", HOSTILE)).err]
    said += [(await shell(HOSTILE)).err, (await shell("--port", HOSTILE)).err]
    for text in said:
        assert all(line.isprintable() for line in text.splitlines()), text
        assert len([line for line in text.splitlines() if "evil" in line]) == 1, text
    assert "\\x1b]0;owned\\x07\\u202eevil\\r\\n\\x9b2J" in said[0]


@pytest.mark.parametrize("client_id", ["-KN7fwuFOMC-hraUZ-Y1Vw", "--N7fwuFOMC-hraUZ-Y1Vw", "-h7fwuFOMC-hraUZ-Y1Vw"])
async def test_an_id_that_begins_with_a_hyphen_is_no_option(shell: Shell, client_id: str) -> None:
    added_id = (await added(shell, "--name", "Portal"))["client_id"]
    change = f"SET client_id = '{client_id}' WHERE client_id = '{added_id}'"
    tamper(shell.location, f"UPDATE clients {change}", f"UPDATE audit {change}")
    assert json.loads(await shell.says("clients", "show", client_id, "--json"))["client_id"] == client_id
    assert json.loads(await shell.says("clients", "show", "--json", client_id))["client_id"] == client_id
    assert len((await shell.says("audit", "--client", client_id, "--json")).splitlines()) == 1
    assert len((await shell.says("audit", f"--client={client_id}", "--json")).splitlines()) == 1
    assert "is deleted" in await shell.says("clients", "delete", client_id, "--yes")
    assert "Usage: " in await shell.says("clients", "delete", "--help")


async def test_deleting_is_confirmed_and_recorded_and_says_what_ended(shell: Shell) -> None:
    client_id = (await added(shell, "--name", "Portal"))["client_id"]
    refused = await shell("clients", "delete", client_id)
    assert (refused.status, refused.out) == (2, "")
    assert refused.err == (
        f"Delete {client_id} (Portal), and end 0 grants for good? Nobody can be asked here: say --yes.\n"
    )
    said = await shell.says("clients", "delete", client_id, "--yes")
    assert said == f"{client_id} (Portal) is deleted. Ended 0 grants, with all tokens.\n"
    gone = await shell("clients", "show", client_id)
    assert (gone.status, gone.err) == (1, f"No client {client_id} in {shell.shown}; `clients list` shows them.\n")
    assert (await shell("clients", "delete", client_id, "--yes")).status == 1
    lines = (await shell.says("audit", "--event", "client.deleted", "--json")).splitlines()
    (event,) = map(json.loads, lines)
    assert (event["client_id"], event["address"], event["detail"]) == (client_id, "local", "Portal; grants revoked: 0")


async def test_the_pre_registered_client_is_left_to_the_settings(shell: Shell) -> None:
    ended = await shell("clients", "delete", DEFAULT_CLIENT, "--yes")
    assert (ended.status, ended.out) == (1, "")
    assert "set MCP_OAUTH_CLIENT_ID to another id, and the next start removes this one." in ended.err
    assert DEFAULT_CLIENT in await shell.says("clients", "list")


@pytest.mark.parametrize("scope", ["mcp:raed", "mcp:read mcp:admn", "", "  "])
async def test_a_scope_that_is_a_ceiling_is_never_replaced_by_another(shell: Shell, scope: str) -> None:
    machine = ("--grant-type", "client_credentials", "--auth-method", "client_secret_basic")
    before = await shell.says("clients", "list", "--json")
    ended = await shell("clients", "add", *machine, "--scope", scope, "--json")
    assert (ended.status, ended.out) == (2, ""), ended
    assert "scope" in ended.err
    assert await shell.says("clients", "list", "--json") == before
