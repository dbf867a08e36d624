"""Answers, however they came: bounds in process, headers, and JSON that is sound or refused."""

import asyncio
import json
from typing import Any

import httpx2
import pytest

from oauth_server.outbound import Answer, Limits, Outbound, OutboundError


def answer(body: bytes, *, truncated: bool = False) -> Answer:
    return Answer("https://a.example/", 200, (("X-A", "1"), ("x-a", "2")), body, truncated, 0.1)


async def test_in_process_all_bounds_but_the_name_hold() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            await asyncio.sleep(60)
        await send(
            {"type": "http.response.start", "status": 302, "headers": [(b"location", b"https://other.example/")]}
        )
        await send({"type": "http.response.body", "body": json.dumps([0] * 1000).encode()})

    async def never(host: str, port: int) -> list[str]:
        raise AssertionError("resolved in process")

    limits = Limits(body=100, seconds=0.2, requests=3)
    client = Outbound(transport=httpx2.ASGITransport(app), resolve=never, limits=limits)
    got = await client.request("GET", "http://own.example/")
    assert (got.status, len(got.body), got.truncated) == (302, 100, True)
    with pytest.raises(OutboundError, match="seconds"):
        await client.request("GET", "http://own.example/slow")
    await client.request("GET", "https://own.example/")
    with pytest.raises(OutboundError, match="budget of 3 requests"):
        await client.request("GET", "https://own.example/")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"NaN",
        b'{"a": Infinity}',
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b"[" * 70 + b"]" * 70,
        b'{"a":' * 5000,
        b"9" * 5000,
    ],
)
def test_what_is_no_sound_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        answer(body).json()


def test_headers_are_found_whatever_their_case() -> None:
    assert answer(b"{}").headers_of("X-a") == ["1", "2"]
    assert answer(b"{}").header("X-A") == "1"
    assert answer(b"{}").header("absent") is None
    assert answer(b'{"a": [1, {"b": null}]}').json() == {"a": [1, {"b": None}]}


async def test_an_answer_that_cannot_be_streamed_is_an_error() -> None:
    class Still(httpx2.SyncByteStream):
        pass

    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, stream=Still()))
    with pytest.raises(OutboundError, match="cannot be streamed"):
        await Outbound(transport=transport).request("GET", "https://own.example/")
