"""The load of bench/: each kind of work says what is wrong with an answer."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load import Answer, WrongAnswerError, drive, parse
from bench.others import OIDC
from bench.peers import Peer, Slot
from bench.processes import Server
from bench.workloads import Wanted
from tests.support.oauth import CALLBACK

TOKENS = {"access_token": "one", "token_type": "Bearer", "refresh_token": "two"}
RESULT = {"structuredContent": {"scopes_supported": ["mcp:read"]}}


def reply(status: int, body: Any = None, **headers: str) -> bytes:
    """An HTTP answer."""
    data = b"" if body is None else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} So", f"Content-Length: {len(data)}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def message(result: Any) -> bytes:
    """An answer to a JSON-RPC request."""
    return reply(200, {"jsonrpc": "2.0", "id": 1, "result": result})


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[Peer]:
    """A server that gives these answers, whatever it is asked; the last of them for ever."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(size or 0))
                writer.write(left.pop(0) if len(left) > 1 else left[0])

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        server = Server("a server", port, None, Path())  # type: ignore[arg-type]
        slot = Slot("client", "secret", access_token="token", refresh_token="token", machine={"client_id": "machine"})
        yield Peer(server, OIDC, [slot], issuer=f"http://localhost:{port}")


GOOD_CODE = reply(302, Location=f"{CALLBACK}?code=c&state=state-of-the-benchmark")
INTROSPECTED = {"active": True, "client_id": "client"}
WRONG = {
    "a refused refresh": ("refresh", (), [reply(400, {"error": "invalid_grant"})], "refused"),
    "no rotation": ("refresh", (), [reply(200, {**TOKENS, "refresh_token": "token"})], "not rotated"),
    "no refresh token": ("refresh", (), [reply(200, {**TOKENS, "refresh_token": None})], "not rotated"),
    "no access token": ("client_credentials", (), [reply(200, {"token_type": "Bearer"})], "no bearer token"),
    "another kind of token": ("client_credentials", (), [reply(200, {**TOKENS, "token_type": "DPoP"})], "no bearer"),
    "an inactive token": ("introspect", (), [reply(200, {**INTROSPECTED, "active": False})], "inactive"),
    "the token of somebody": ("introspect", (), [reply(200, {**INTROSPECTED, "client_id": "other"})], "inactive"),
    "an error for a code": ("code", (), [reply(302, Location=f"{CALLBACK}?error=access_denied")], "no code came"),
    "a page for a code": ("code", (), [reply(200, {})], "no code came"),
    "another state": ("code", (), [reply(302, Location=f"{CALLBACK}?code=c&state=another")], "no code came"),
    "a code without tokens": ("code", (), [GOOD_CODE, reply(400, {"error": "invalid_grant"})], "refused"),
    "nothing to refresh with": ("code", (), [GOOD_CODE, reply(200, {**TOKENS, "refresh_token": ""})], "no refresh"),
    "another issuer": ("metadata", (), [reply(200, {"issuer": "http://localhost:1"})], "not what was asked for"),
    "no keys": ("jwks", (), [reply(200, {"keys": []})], "not what was asked for"),
    "keys that change": ("jwks", (), [reply(200, {"keys": [1]}), reply(200, {"keys": [2]})], "has changed"),
    "what is no JSON": ("jwks", (), [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{"], "cannot be read"),
    "no ETag": ("not_modified", (), [reply(200, {})], "no ETag"),
    "the same again": ("not_modified", (), [reply(200, {}, ETag='"one"')], "sent again"),
    "a way in": ("unauthorized", (), [reply(200, {}, x="resource_metadata=")], "not challenged"),
    "no challenge": ("unauthorized", (), [reply(401)], "not challenged"),
    "five tools": ("tools_list", ("2025-11-25",), [message({"tools": [1] * 5})], "not what was asked for"),
    "an error of a tool": ("tools_call", ("2026-07-28",), [message({**RESULT, "isError": True})], "not what was asked"),
    "an error of a call": ("tools_call", ("2026-07-28",), [reply(200, {"error": {}})], "the call failed"),
    "a refused call": ("tools_call", ("2026-07-28",), [reply(401)], "refused"),
}


@pytest.mark.parametrize(("work", "given", "answers", "words"), WRONG.values(), ids=WRONG)
async def test_a_wrong_answer_is_seen(work: str, given: tuple[str, ...], answers: list[bytes], words: str) -> None:
    async with answering(*answers) as peer:
        with pytest.raises(WrongAnswerError, match=words):
            await drive(peer.server.port, getattr(Wanted(peer), work)(*given), 3, 1)


async def test_a_server_that_hangs_up_has_not_answered() -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        server = Server("a server", port, None, Path())  # type: ignore[arg-type]
        with pytest.raises(WrongAnswerError, match="connection was closed"):
            await drive(port, Wanted(Peer(server, OIDC, [Slot()])).jwks(), 1, 1)


async def test_right_answers_are_counted_and_their_tokens_kept_for_a_look() -> None:
    async with answering(
        *(reply(200, {**TOKENS, "refresh_token": f"{n}", "access_token": f"{n}"}) for n in range(5))
    ) as peer:
        wanted = Wanted(peer)
        load = await drive(peer.server.port, wanted.refresh(), 5, 1)
        assert len(load.took) == 5
        assert wanted.tokens == [("client", f"{n}") for n in range(5)]
        wanted.verify(None)
        assert wanted.tokens == []


async def test_a_token_that_came_twice_or_that_nobody_signed_is_seen() -> None:
    async with answering(reply(200, TOKENS)) as peer:
        wanted = Wanted(peer)
        await drive(peer.server.port, wanted.client_credentials(), 1, 1)
        with pytest.raises(WrongAnswerError, match="wrong"):
            wanted.verify({"keys": []})
        await drive(peer.server.port, wanted.client_credentials(), 2, 1)
        with pytest.raises(WrongAnswerError, match="twice"):
            wanted.verify(None)


@given(st.binary(max_size=300), st.lists(st.integers(1, 100), max_size=5), st.booleans())
def test_an_answer_is_read_once_it_is_whole(body: bytes, sizes: list[int], chunked: bool) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d" % len(body)
    sent = body
    if chunked:
        parts, at = [], 0
        for size in (*sizes, len(body) + 1):
            if at < len(body):
                parts.append(b"%x\r\n%b\r\n" % (len(body[at : at + size]), body[at : at + size]))
            at += size
        head, sent = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", b"".join(parts) + b"0\r\n\r\n"
    whole = head + b"\r\n\r\n" + sent
    assert parse(whole) == Answer(200, head, body)
    for end in range(len(whole)):
        assert parse(whole[:end]) is None
