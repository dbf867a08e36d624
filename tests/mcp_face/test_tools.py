"""The six tools: what lists say of them, and that every result keeps its schema, over HTTP in both eras and on stdio."""

import json
import re
from typing import Any

import pytest
from fastmcp import Client
from fastmcp.exceptions import ToolError
from jsonschema import Draft202012Validator

from tests.conftest import MakeServer
from tests.support.mcp_http import MODES, mcp_client, token_for
from tests.support.server import Running

PREFIX = "mcp_oauth_"
# title, read-only, idempotent, open world, required, optional arguments
TOOLS: dict[str, tuple[str, bool, bool, bool, set[str], set[str]]] = {
    "protected_resource_metadata": ("Protected resource metadata", True, True, False, set(), set()),
    "authorization_server_metadata": ("Authorization server metadata", True, True, False, set(), set()),
    "validate_token": ("Validate an access token", True, True, False, {"token"}, {"required_scopes", "resource"}),
    "get_configuration": ("OAuth configuration", True, True, False, set(), set()),
    "register_client": (
        "Register an OAuth client", False, False, False, {"redirect_uris"},
        {"client_name", "token_endpoint_auth_method", "grant_types", "response_types", "scope", "application_type",
         "client_uri", "logo_uri", "tos_uri", "policy_uri", "contacts", "software_id", "software_version",
         "post_logout_redirect_uris"},
    ),
    "check_compliance": (
        "Check OAuth compliance", False, True, True, set(), {"server_url", "spec_version", "depth", "access_token"},
    ),
}  # fmt: skip
CALLS: dict[str, list[dict[str, Any]]] = {
    "protected_resource_metadata": [{}],
    "authorization_server_metadata": [{}],
    "validate_token": [
        {"token": "not-a-token"},
        {"token": "{token}"},
        {"token": "{token}", "required_scopes": "other"},
    ],
    "get_configuration": [{}],
    "register_client": [
        {"redirect_uris": ["http://localhost/cb"]},
        {
            "redirect_uris": ["https://a.example/cb"],
            "token_endpoint_auth_method": "client_secret_post",
            "client_name": "A",
        },
    ],
    "check_compliance": [{}, {"spec_version": "2025-06-18", "depth": "active"}],
}


async def _schemas(client: Client[Any]) -> dict[str, dict[str, Any]]:
    return {tool.name: tool.output_schema or {} for tool in await client.list_tools()}


@pytest.mark.requirement("TR-16")
async def test_there_are_exactly_these_six_tools_and_lists_tell_how_to_use_them(admin: Client[Any]) -> None:
    tools = {tool.name: tool for tool in await admin.list_tools()}
    # Some clients follow no reference within a schema.
    assert "$ref" not in json.dumps([tool.model_dump(mode="json") for tool in tools.values()])
    assert set(tools) == {PREFIX + name for name in TOOLS}
    for name, (title, reads, repeats, open_world, required, optional) in TOOLS.items():
        tool = tools[PREFIX + name]
        assert tool.title == title
        assert tool.annotations is not None
        hints = tool.annotations
        assert (hints.title, hints.read_only_hint, hints.destructive_hint) == (title, reads, False)
        assert (hints.idempotent_hint, hints.open_world_hint) == (repeats, open_world)
        assert re.search(r"\bUse it (to|when)\b", tool.description or ""), name
        schema = tool.input_schema
        Draft202012Validator.check_schema(schema)
        assert set(schema["properties"]) == required | optional
        assert set(schema.get("required", [])) == required
        assert schema["additionalProperties"] is False
        assert all(argument.get("description") for argument in schema["properties"].values())
        Draft202012Validator.check_schema(tool.output_schema)
        assert tool.output_schema is not None
        assert tool.output_schema["type"] == "object"
        assert tool.output_schema["required"]
        assert "$ref" not in json.dumps([schema, tool.output_schema])  # some clients follow none


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.requirement("TR-16", "regression-7")
async def test_every_result_is_structured_by_its_schema_and_readable_as_text(
    shared: Running, admin: Client[Any], name: str
) -> None:
    schema = (await _schemas(admin))[PREFIX + name]
    token = await token_for(shared, "mcp:read")
    for arguments in CALLS[name]:
        filled = {key: token if value == "{token}" else value for key, value in arguments.items()}
        result = await admin.call_tool(PREFIX + name, filled)
        assert not result.is_error
        Draft202012Validator(schema).validate(result.structured_content)
        assert len(result.content) == 1
        assert len(result.content[0].text) > 20
        assert not result.content[0].text.startswith("{")
        assert token not in json.dumps(result.structured_content) + result.content[0].text


@pytest.mark.requirement("AS-02", "RS-02")
async def test_the_metadata_tools_return_the_documents_that_are_served(shared: Running, admin: Client[Any]) -> None:
    async with shared.client() as http:
        resource = (await http.get("/.well-known/oauth-protected-resource/mcp")).json()
        server = (await http.get("/.well-known/oauth-authorization-server")).json()
    found = await admin.call_tool(f"{PREFIX}protected_resource_metadata")
    assert found.structured_content == resource
    found = await admin.call_tool(f"{PREFIX}authorization_server_metadata")
    assert found.structured_content == server


ERRORS: dict[str, tuple[str, dict[str, Any], str]] = {
    "unknown argument": ("get_configuration", {"nothing": 1}, "nothing"),
    "argument missing": ("validate_token", {}, "token"),
    "argument of another type": ("validate_token", {"token": ["x"]}, "token"),
    "malformed scope": ("validate_token", {"token": "x", "required_scopes": 'a"b'}, "required_scopes: "),
    "resource of another server": ("validate_token", {"token": "x", "resource": "https://o.example"}, "resource: not served here"),
    "no such version": ("check_compliance", {"spec_version": "2024-01-01"}, "spec_version must be one of 2025-03-26, "),
    "no such depth": ("check_compliance", {"depth": "deep"}, "depth"),
    "no URL": ("check_compliance", {"server_url": "ftp://x"}, "server_url"),
    "no redirect": ("register_client", {"redirect_uris": []}, "invalid_redirect_uri: "),
    "script redirect": ("register_client", {"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri: "),
    "bad method": (
        "register_client",
        {"redirect_uris": ["http://localhost/cb"], "token_endpoint_auth_method": "magic"},
        "invalid_client_metadata: token_endpoint_auth_method must be one of none, client_secret_basic",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
@pytest.mark.requirement("attack-76")
async def test_an_error_says_what_was_wrong_so_that_a_model_can_mend_it(admin: Client[Any], case: str) -> None:
    name, arguments, sentence = ERRORS[case]
    result = await admin.call_tool(PREFIX + name, arguments, raise_on_error=False)
    assert result.is_error
    assert sentence in result.content[0].text
    assert "Traceback" not in result.content[0].text
    assert result.structured_content is None


@pytest.mark.requirement("regression-6")
async def test_an_unknown_tool_is_an_error(admin: Client[Any]) -> None:
    with pytest.raises(Exception, match="mcp_oauth_nothing"):
        await admin.call_tool("mcp_oauth_nothing")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.requirement("RS-01")
async def test_with_oauth_off_every_tool_and_resource_says_how_to_switch_it_on(
    make_server: MakeServer, mode: str
) -> None:
    sentence = "Set ENABLE_MCP_OAUTH=true"
    async with make_server(ENABLE_MCP_OAUTH="false") as server, mcp_client(server, None, mode) as client:
        assert len(await client.list_tools()) == 6
        for name, calls in CALLS.items():
            with pytest.raises(ToolError, match=sentence):
                await client.call_tool(PREFIX + name, calls[0])
        for resource in await client.list_resources():
            with pytest.raises(Exception, match=sentence):
                await client.read_resource(resource.uri)
