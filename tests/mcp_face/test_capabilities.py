"""Capabilities: nothing is advertised that cannot arrive, over HTTP and stdio, in both eras."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.mcp_http import ERAS, Era, ask, message, result, token_for
from tests.support.program import SERVER, environment, initialize, program
from tests.support.server import Running

UNKNOWN_METHOD = -32601
OPENING: dict[Era, tuple[str, dict[str, Any]]] = {
    "legacy": ("initialize", initialize()["params"]),
    "modern": ("server/discover", {}),
}


def check(capabilities: dict[str, Any]) -> None:
    assert {"tools", "resources", "prompts"} <= capabilities.keys()
    assert not {"logging", "completions", "experimental", "tasks"} & capabilities.keys()
    for each in ("tools", "resources", "prompts"):
        assert not any(capabilities[each].values())  # listChanged, subscribe


@pytest.mark.parametrize("era", ERAS)
async def test_over_http_nothing_is_promised_that_cannot_arrive(server: Running, era: Era) -> None:
    token = await token_for(server, "mcp:read")
    async with server.client() as http:
        check(result(await ask(http, era, *OPENING[era], token))["capabilities"])
        for method, params in (
            ("logging/setLevel", {"level": "debug"}),
            ("resources/subscribe", {"uri": "oauth://jwks"}),
            (
                "completion/complete",
                {"ref": {"type": "ref/prompt", "name": "x"}, "argument": {"name": "x", "value": ""}},
            ),
        ):
            reply = await ask(http, era, method, params, token)
            assert f'"code":{UNKNOWN_METHOD}' in reply.text.replace(": ", ":"), reply.text


@pytest.mark.parametrize("era", ERAS)
async def test_over_stdio_nothing_is_promised_that_cannot_arrive(tmp_path: Path, era: Era) -> None:
    async with program(*SERVER, "--transport", "stdio", env=environment(tmp_path)) as stdio:
        await stdio.send(message(era, *OPENING[era]))
        check((await stdio.answer())["result"]["capabilities"])
        await stdio.send({**message(era, "logging/setLevel", {"level": "debug"}), "id": 2})
        assert (await stdio.answer())["error"]["code"] == UNKNOWN_METHOD
        assert (await stdio.end(None)).status == 0
