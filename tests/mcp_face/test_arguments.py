"""Arguments that do not fit a tool's schema."""

import logging

import pytest
from fastmcp import Client

from tests.support.server import Running


@pytest.mark.parametrize(
    ("tool", "arguments", "named"),
    [
        ("mcp_oauth_validate_token", {}, "token"),
        ("mcp_oauth_register_client", {"redirect_uris": "not a list"}, "redirect_uris"),
        ("mcp_oauth_check_compliance", {"depth": "deepest"}, "depth"),
    ],
)
async def test_a_model_is_told_which_argument_does_not_fit(
    server: Running, caplog: pytest.LogCaptureFixture, tool: str, arguments: dict[str, object], named: str
) -> None:
    with caplog.at_level(logging.INFO):
        async with Client(server.server) as mcp:
            result = await mcp.call_tool(tool, arguments, raise_on_error=False)
    assert result.is_error
    text = result.content[0].text
    assert text.startswith("The arguments do not fit. ")
    assert f"{named}: " in text
    assert "pydantic" not in text
    assert "not a list" not in text.removeprefix("The arguments do not fit. ").replace("valid list", "")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
