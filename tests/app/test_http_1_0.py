"""HTTP/1.0 (RFC 9112 sections 6.1 and 9.3): no chunked answer, no 100, and the connection ends with the answer."""

import json
from contextlib import AsyncExitStack

import pytest

from tests.support.mcp_http import ERAS, READ_TOOL, headers_for, message, token_for
from tests.support.server import Running
from tests.support.wire import head, said


def sent(server: Running, fields: dict[str, str], body: bytes, version: str) -> bytes:
    raw = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return head(server, "POST /mcp", version) + raw.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize("version", ["1.0", "0.9"])
@pytest.mark.parametrize("kept", [b"", b"Connection: keep-alive\r\n"])
@pytest.mark.parametrize("era", ERAS)
async def test_a_stream_is_sent_as_it_is_and_ends_with_the_connection(
    server: Running, lines: AsyncExitStack, era: str, kept: bytes, version: str
) -> None:
    token = await token_for(server, "mcp:read")
    params = {"name": READ_TOOL, "arguments": {}}
    fields = headers_for(era, "tools/call", params, token)
    body = json.dumps(message(era, "tools/call", params)).encode()
    asks = sent(server, fields, body, version).replace(b"\r\n", b"\r\n" + kept, 1)
    top, _, rest = (await said(server, lines, asks)).partition(b"\r\n\r\n")
    assert top.startswith(b"HTTP/1.1 200 ")
    assert b"transfer-encoding" not in top.lower()
    assert b"connection: close" in top.lower()
    assert b"keep-alive" not in top.lower()
    data = b"".join(line[6:] for line in rest.splitlines() if line.startswith(b"data: ")) or rest
    assert json.loads(data)["result"]


async def test_an_answer_of_known_length_says_it(server: Running, lines: AsyncExitStack) -> None:
    for path in ("/healthz", "/.well-known/oauth-authorization-server", "/"):
        top, _, rest = (await said(server, lines, head(server, f"GET {path}", "1.0") + b"\r\n")).partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in top.splitlines()[1:])
        assert int(fields[b"content-length"]) == len(rest)
        assert b"transfer-encoding" not in fields


async def test_a_client_of_1_0_that_expects_100_gets_none(server: Running, lines: AsyncExitStack) -> None:
    form = b"grant_type=x"
    fields = b"Content-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\n"
    asks = head(server, "POST /oauth/token", "1.0") + fields + b"Content-Length: %d\r\n\r\n" % len(form)
    assert (await said(server, lines, asks + form)).startswith(b"HTTP/1.1 400 ")
