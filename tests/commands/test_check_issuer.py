"""`check`: the operator's password and client secret go only to the authorization server that the operator named."""

from collections.abc import Callable
from typing import Any

import anyio.to_thread
import pytest

from tests.commands.conftest import Shell
from tests.commands.hosts import PASSWORD, SECRET, Host
from tests.support.terminal import terminal


def names(target: Host, issuer: Host, authorize: Host | None = None, token: Host | None = None) -> None:
    """Let a target name an authorization server, and that one its endpoints."""
    resource = {"resource": f"{target.url}/mcp", "authorization_servers": [issuer.url]}
    target.documents["/.well-known/oauth-protected-resource/mcp"] = resource
    issuer.documents["/.well-known/oauth-authorization-server"] = {
        "issuer": issuer.url,
        "authorization_endpoint": f"{(authorize or issuer).url}/authorize",
        "token_endpoint": f"{(token or issuer).url}/token",
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
    }


USER = ("--depth", "active", "--client-id", "mine", "--user", "alice")
CLIENT = ("--depth", "active", "--client-id", "mine")
ENV = {PASSWORD: {"MCP_PASSWORD": PASSWORD}, SECRET: {"MCP_CLIENT_SECRET": SECRET}}


@pytest.mark.parametrize(
    ("words", "secret", "what"),
    [(USER, PASSWORD, "The password of alice"), (CLIENT, SECRET, "The secret of the client mine")],
)
async def test_a_secret_goes_to_no_authorization_server_that_only_the_target_names(
    shell: Shell, host: Callable[[], Any], words: tuple[str, ...], secret: str, what: str
) -> None:
    target, issuer = await host(), await host()
    names(target, issuer)
    ended = await shell("check", f"{target.url}/mcp", *words, **ENV[secret])
    assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1)
    assert ended.err.startswith(f"{what} would go to {issuer.url}, ")
    assert ended.err.endswith(f" Nobody can be asked here: say --issuer {issuer.url}.\n")
    assert not issuer.got(secret)
    assert not any(path in {"/authorize", "/token"} for path in issuer.asked)


async def test_a_named_issuer_gets_the_password(shell: Shell, host: Callable[[], Any]) -> None:
    target, issuer = await host(), await host()
    names(target, issuer)
    ended = await shell("check", f"{target.url}/mcp", *USER, "--issuer", issuer.url, **ENV[PASSWORD])
    assert ended.status == 1, ended.err
    assert issuer.got(PASSWORD)
    assert not target.got(PASSWORD)


async def test_a_target_that_names_itself_is_named_by_its_url(shell: Shell, host: Callable[[], Any]) -> None:
    target = await host()
    names(target, target)
    assert (await shell("check", f"{target.url}/mcp", *USER, **ENV[PASSWORD])).status == 1
    assert target.got(PASSWORD)


async def test_another_issuer_than_the_named_one_gets_nothing(shell: Shell, host: Callable[[], Any]) -> None:
    target, issuer, other = await host(), await host(), await host()
    names(target, issuer)
    for named in (other.url, f"{issuer.url}/tenant", f"{issuer.url}/"):
        ended = await shell("check", f"{target.url}/mcp", *USER, "--issuer", named, **ENV[PASSWORD])
        assert (ended.status, len(ended.lines)) == (2, 1)
        assert ended.err == f"--issuer: {target.url}/mcp names {issuer.url} as its authorization server.\n"
    for bad in ("nonsense", "ftp://a.example", "https://a:b@c.example"):
        ended = await shell("check", f"{target.url}/mcp", *USER, "--issuer", bad, **ENV[PASSWORD])
        assert (ended.status, len(ended.lines)) == (2, 1)
        assert ended.err.startswith("--issuer: ")
    assert not issuer.got(PASSWORD)


@pytest.mark.parametrize("own", [True, False])
async def test_an_endpoint_elsewhere_is_no_part_of_the_named_issuer(
    shell: Shell, host: Callable[[], Any], own: bool
) -> None:
    target, login, token = await host(), await host(), await host()
    issuer = target if own else await host()
    names(target, issuer, login, token)
    given = () if own else ("--issuer", issuer.url)
    for words, secret, place in ((USER, PASSWORD, login), (CLIENT, SECRET, token)):
        ended = await shell("check", f"{target.url}/mcp", *words, *given, **ENV[secret])
        assert (ended.status, ended.out) == (2, "")
        assert f" would go to {place.url}, " in ended.err
        assert f": say --issuer {issuer.url} --issuer {place.url}." in ended.err
        assert not place.got(secret)
    words = (*given, "--issuer", login.url, *(("--issuer", target.url) if own else ()))
    await shell("check", f"{target.url}/mcp", *USER, *words, **ENV[PASSWORD])
    assert login.got(PASSWORD)
    assert not token.got(PASSWORD)


async def test_what_the_target_names_later_gets_nothing(shell: Shell, host: Callable[[], Any]) -> None:
    target, issuer = await host(), await host()
    names(target, target)
    right = target.documents.pop("/.well-known/oauth-authorization-server")

    class Turning(dict[str, Any]):
        """Its second answer names another endpoint than its first."""

        count = 0

        def get(self, path: str, default: Any = None) -> Any:
            if path != "/.well-known/oauth-authorization-server":
                return super().get(path, default)
            Turning.count += 1
            return right if Turning.count == 1 else {**right, "authorization_endpoint": f"{issuer.url}/authorize"}

    target.documents = Turning(target.documents)
    await shell("check", f"{target.url}/mcp", *USER, **ENV[PASSWORD])
    assert Turning.count > 1
    assert not issuer.got(PASSWORD)


async def test_without_a_secret_nothing_is_asked(shell: Shell, host: Callable[[], Any]) -> None:
    target, issuer = await host(), await host()
    names(target, issuer)
    assert (await shell("check", f"{target.url}/mcp", *CLIENT)).status == 1
    ended = await shell("check", f"{target.url}/mcp", "--issuer", issuer.url)
    assert (ended.status, ended.err) == (2, "--issuer: no password or client secret is given that could go there.\n")


@pytest.mark.parametrize("agrees", [True, False])
async def test_on_a_terminal_the_question_and_the_prompt_say_where_the_password_goes(
    env: dict[str, str], host: Callable[[], Any], agrees: bool
) -> None:
    target, issuer = await host(), await host()
    names(target, issuer)

    def seen() -> tuple[int, str]:
        with terminal(env, "check", f"{target.url}/mcp", *USER) as screen:
            screen.expect(f"The password of alice would go to {issuer.url}, ")
            screen.type("y\n" if agrees else "n\n")
            if agrees:
                screen.expect(f"Password of alice at {issuer.url}: ")
                screen.type(f"{PASSWORD}\n")
            return screen.status(), screen.seen

    status, shown = await anyio.to_thread.run_sync(seen)
    assert (status, issuer.got(PASSWORD)) == (1, agrees), shown
    assert agrees or "No password or client secret was sent." in shown
