"""The user's document runs: its bash and Python blocks, in their order, against one running server.

What a reader would put in by hand is put in here, and nothing else:

    http://localhost:8000                        the URL of the running server
    AUTHORIZATION_CODE, AUTH_CODE                the code that arrived at the redirect URI
    CODE_VERIFIER, VERIFIER, CHALLENGE           the PKCE parameters that the reader generated
    CLIENT_ID, "client-id"                       the client_id that the registration returned
    ACCESS_TOKEN                                 the access token that the exchange returned
    "visit the authorization URL"                the harness' browser follows it, signs in and consents
    # token_data = …, # result = …               the comment sign is taken away once there is a code
    mcp_oauth_check_compliance and its kin       called through an MCP client, arguments as written
    docker-compose up -d, docker-compose logs    left out: they are about the image
"""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
import fastmcp
import pytest

from tests.document.reading import Answer, bash, block, blocks, commands, substituted
from tests.support.browser import Browser, query_of
from tests.support.databases import Template
from tests.support.oauth import DEFAULT_CLIENT, Pkce
from tests.support.server import Running, running

LEFT_OUT = ["docker-compose up -d", "docker-compose logs -f mcp-server"]
ELSEWHERE = "yaml"  # test_settings_blocks.py


@dataclass
class Reader:
    """Somebody who works through the document: the server in front of them, and what they have noted so far."""

    server: Running
    browser: Browser
    folder: Path
    notes: dict[str, str]
    seen: dict[str, Any] = field(default_factory=dict)

    async def types(self, text: str) -> list[Answer]:
        """Run lines in bash."""
        return await bash(substituted(text, self.notes), self.folder)

    async def runs(self, text: str, name: str = "block.py", **known: Any) -> dict[str, Any]:
        """Run lines in Python; returns their variables."""
        path = self.folder / name
        code = compile(substituted(text, self.notes), path, "exec")
        variables = dict(known)
        await anyio.to_thread.run_sync(partial(exec, code, variables))
        return variables

    async def visits(self, url: str) -> dict[str, str]:
        """Open an authorization URL, sign in if asked, and approve; returns what arrived at the redirect URI."""
        landed = await self.browser.authorize(url)
        return {"to": landed.partition("?")[0], **query_of(landed)}


@pytest.fixture(scope="module")
async def reader(template: Template, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Reader]:
    """A reader of the document, with a server started by its defaults; every block is run, its results are in `seen`."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    folder = tmp_path_factory.mktemp("document")
    async with running(template, folder) as server:
        browser = Browser(server.url)
        found = Reader(server, browser, folder, {"http://localhost:8000": server.url})
        for step in (verify, discover, register, authorize, exchange, access, use_curl, use_tools, use_python):
            await step(found)
        yield found
        await browser.close()


async def verify(reader: Reader) -> None:
    reader.seen["verify"] = await reader.types(block("3. Verify OAuth Endpoints", "bash"))


async def discover(reader: Reader) -> None:
    reader.seen["discover"] = await reader.types(block("Step 1: Authorization Server Discovery", "bash"))


async def register(reader: Reader) -> None:
    reader.seen["register"] = await reader.types(block("Step 2: Client Registration (Optional)", "bash"))


async def authorize(reader: Reader) -> None:
    variables = await reader.runs(block("Step 3: Authorization Request", "python"))
    reader.seen["authorize"] = answer = await reader.visits(variables["auth_url"])
    reader.notes |= {"AUTHORIZATION_CODE": answer["code"], "CODE_VERIFIER": variables["code_verifier"]}


async def exchange(reader: Reader) -> None:
    reader.seen["exchange"] = (answer,) = await reader.types(block("Step 4: Token Exchange", "bash"))
    reader.notes["ACCESS_TOKEN"] = answer.json["access_token"]


async def access(reader: Reader) -> None:
    reader.seen["access"] = await reader.types(block("Step 5: Access Protected Resources", "bash"))


async def use_curl(reader: Reader) -> None:
    answers: list[list[Answer]] = []
    for number, part in enumerate(commands(block("Using curl", "bash")), 1):
        assert part.startswith(f"# {number}. ")
        if number == 4:
            pkce = Pkce.new()
            reader.notes |= {"CHALLENGE": pkce.challenge, "VERIFIER": pkce.verifier}
            (url,) = re.findall(r"^# (http\S+)$", part, re.MULTILINE)
            reader.seen["visit"] = await reader.visits(substituted(url, reader.notes))
            reader.notes["AUTH_CODE"] = reader.seen["visit"]["code"]
        answers.append(await reader.types(part))
        if number == 3:
            reader.notes["CLIENT_ID"] = answers[-1][0].json["client_id"]
        if number == 5:
            reader.notes["ACCESS_TOKEN"] = answers[-1][0].json["access_token"]
    reader.seen["curl"] = answers


async def use_tools(reader: Reader) -> None:
    reader.notes["ACCESS_TOKEN"] = reader.seen["exchange"][0].json["access_token"]
    reader.seen["tools"] = results = {}
    async with fastmcp.Client(f"{reader.server.url}/mcp", auth=reader.notes["ACCESS_TOKEN"]) as client:
        for part in commands(block("Using MCP Tools", "bash")):
            comment, line = part.splitlines()
            assert comment.startswith("# ")
            name, *words = shlex.split(substituted(line, reader.notes))
            arguments = dict(word.split("=", 1) for word in words)
            results[name] = await client.call_tool(name, arguments)


async def use_python(reader: Reader) -> None:
    text = block("Python Client Example", "python")
    first = await reader.runs(text)
    reader.seen["printed url"] = first["auth_url"]
    # The same lines once more, by a registered client and with the last two in force.
    reader.notes["client-id"] = reader.notes["CLIENT_ID"]
    again = substituted(text, reader.notes)
    head, end = again.split("# After authorization, exchange code for token\n")
    before = await reader.runs(head)
    answer = await reader.visits(before["auth_url"])
    after = "\n".join(line.removeprefix("# ") for line in end.splitlines())
    reader.seen["python"] = await reader.runs(after, **before, code=answer["code"])


def test_every_block_is_run_or_listed() -> None:
    run = [
        ("3. Verify OAuth Endpoints", "bash"),
        ("Step 1: Authorization Server Discovery", "bash"),
        ("Step 2: Client Registration (Optional)", "bash"),
        ("Step 3: Authorization Request", "python"),
        ("Step 4: Token Exchange", "bash"),
        ("Step 5: Access Protected Resources", "bash"),
        ("Using curl", "bash"),
        ("Using MCP Tools", "bash"),
        ("Verify Installation", "python"),
        ("Python Client Example", "python"),
    ]
    executable = [b for b in blocks() if b.language != ELSEWHERE]
    assert [b.text for b in executable if (b.heading, b.language) not in run] == LEFT_OUT
    assert [(b.heading, b.language) for b in executable if b.text not in LEFT_OUT] == run


@pytest.mark.requirement("AS-02", "RS-02", "RS-03", "regression-1")
async def test_verify_oauth_endpoints_shows_three_documents(reader: Reader) -> None:
    url = reader.server.url
    resource, server, openid = reader.seen["verify"]
    assert [answer.status for answer in reader.seen["verify"]] == [200, 200, 200]
    assert {answer.headers["content-type"] for answer in reader.seen["verify"]} == {"application/json"}
    assert resource.json["resource"] == url
    assert resource.json["authorization_servers"] == [url]
    assert server.json["issuer"] == openid.json["issuer"] == url
    assert server.json["token_endpoint"] == f"{url}/oauth/token"
    assert server.json["code_challenge_methods_supported"] == ["S256"]
    assert openid.json["userinfo_endpoint"] == f"{url}/oauth/userinfo"
    assert openid.json["jwks_uri"] == f"{url}/.well-known/jwks.json"


@pytest.mark.requirement("RS-04", "attack-61", "regression-6")
async def test_step_1_is_answered_401_with_the_header_and_the_metadata(reader: Reader) -> None:
    refused, metadata = reader.seen["discover"]
    assert refused.status == 401
    where = f"{reader.server.url}/.well-known/oauth-protected-resource"
    # The document shows resource=…; resource_metadata is what RFC 9728 made of it.
    assert refused.headers["www-authenticate"] == (
        f'Bearer resource_metadata="{where}", scope="mcp:read", resource="{where}"'
    )
    assert metadata.status == 200
    assert metadata.json["resource"] == reader.server.url


@pytest.mark.requirement("AS-21")
async def test_step_2_registers_a_client(reader: Reader) -> None:
    (answer,) = reader.seen["register"]
    assert answer.status == 201
    assert answer.headers["cache-control"] == "no-store"
    registered = answer.json
    assert registered["client_name"] == "My MCP Client"
    assert registered["redirect_uris"] == ["http://localhost:3000/callback"]
    assert registered["grant_types"] == ["authorization_code", "refresh_token"]
    assert registered["response_types"] == ["code"]
    assert registered["token_endpoint_auth_method"] == "none"
    assert await reader.server.services.clients.find(registered["client_id"]) is not None


@pytest.mark.requirement("AS-23", "AS-36", "regression-2")
async def test_step_3_leads_through_login_and_consent_to_a_code(reader: Reader) -> None:
    answer = reader.seen["authorize"]
    assert answer["to"] == "http://localhost:3000/callback"
    assert answer["state"] == "random-state-value"
    assert answer["iss"] == reader.server.url
    assert len(answer["code"]) >= 32


@pytest.mark.requirement("AS-36", "regression-4")
async def test_step_4_exchanges_the_code_for_tokens(reader: Reader) -> None:
    (answer,) = reader.seen["exchange"]
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 3600
    assert tokens["scope"] == "mcp:read mcp:write"
    assert tokens["refresh_token"]


@pytest.mark.requirement("RS-09")
async def test_step_5_opens_the_protected_resource(reader: Reader) -> None:
    (answer,) = reader.seen["access"]
    assert answer.status == 200
    said = answer.json
    assert said["authenticated"] is True
    assert said["client_id"] == DEFAULT_CLIENT
    assert said["scope"] == "mcp:read mcp:write"
    assert said["aud"] == reader.server.url


async def test_testing_with_curl_goes_from_401_to_200(reader: Reader) -> None:
    answers = reader.seen["curl"]
    assert [[answer.status for answer in part] for part in answers] == [[401], [200], [201], [], [200], [200]]
    registered, tokens, said = answers[2][0].json, answers[4][0].json, answers[5][0].json
    assert registered["client_name"] == "Test Client"
    assert registered["token_endpoint_auth_method"] == "none"
    assert reader.seen["visit"]["to"] == "http://localhost:8080/callback"
    assert reader.seen["visit"].keys() == {"to", "code", "iss"}
    assert tokens["scope"] == "mcp:read"
    assert said["authenticated"] is True
    assert said["client_id"] == registered["client_id"]
    assert said["aud"] == reader.server.url


async def test_using_mcp_tools_answers_as_the_comments_promise(reader: Reader) -> None:
    results = reader.seen["tools"]
    report = results["mcp_oauth_check_compliance"].structured_content
    assert report["target"] == f"{reader.server.url}/mcp"
    assert len(report["checks"]) >= 20
    assert [check["id"] for check in report["checks"] if check["status"] in ("fail", "error")] == []
    verdict = results["mcp_oauth_validate_token"].structured_content
    assert verdict["valid"] is True
    assert verdict["claims"]["client_id"] == DEFAULT_CLIENT
    configuration = results["mcp_oauth_get_configuration"]
    assert "MCP_OAUTH_REQUIRE_AUTH" in configuration.content[0].text


def test_verify_installation_prints_its_success_line(tmp_path: Path) -> None:
    script = tmp_path / "verify.py"
    script.write_text(block("Verify Installation", "python"))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("OAuth libraries installed\n", "")


async def test_python_client_prints_a_url_to_visit(reader: Reader) -> None:
    asked = query_of(reader.seen["printed url"])
    assert reader.seen["printed url"].startswith(f"{reader.server.url}/oauth/authorize?")
    assert asked["client_id"] == "client-id"
    assert asked["resource"] == reader.server.url


async def test_python_client_gets_a_token_and_opens_the_protected_resource(reader: Reader) -> None:
    variables = reader.seen["python"]
    tokens = variables["token_data"]
    assert tokens["scope"] == "mcp:read"
    assert variables["client"].access_token == tokens["access_token"]
    result = variables["result"]
    assert result["authenticated"] is True
    assert result["client_id"] == reader.notes["CLIENT_ID"]
    assert result["scope"] == "mcp:read"


async def test_python_client_reports_a_code_that_was_used_before(reader: Reader) -> None:
    client, used = reader.seen["python"]["client"], reader.seen["python"]["code"]
    again = partial(client.exchange_code_for_token, used, reader.notes["CLIENT_ID"], "http://localhost:8080/callback")
    with pytest.raises(Exception, match=r"Token exchange failed: .*invalid_grant"):
        await anyio.to_thread.run_sync(again)
