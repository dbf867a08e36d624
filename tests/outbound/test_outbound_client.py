"""The client against loopback servers that misbehave in every way a stranger's server may."""

import asyncio
import gzip
import zlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx2
import pytest

from oauth_server.outbound import Limits, Outbound, OutboundError

Serve = Callable[..., AbstractAsyncContextManager[Any]]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def head(*fields: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode()


async def test_an_answer_is_what_the_server_said(serve: Serve) -> None:
    async with serve(OK) as wire:
        got = await Outbound(local=True).request(
            "POST", wire.url + "token?x=1", headers={"X-Asked": "yes"}, content=b"a=b"
        )
    assert (got.status, got.json(), got.truncated) == (200, {}, False)
    assert got.header("content-type") == "application/json"
    assert 0 < got.elapsed < 10
    request = wire.heads[0].lower()
    assert request.startswith("post /token?x=1 http/1.1\r\n")
    assert f"host: 127.0.0.1:{wire.port}\r\n" in request
    assert "accept-encoding: identity\r\n" in request
    assert "x-asked: yes\r\n" in request
    assert "cookie" not in request
    assert "authorization" not in request


async def test_localhost_is_fetched_when_its_host_is_allowed(serve: Serve) -> None:
    async with serve(OK) as wire:
        for allowed in ("127.0.0.1", f"127.0.0.1:{wire.port}"):
            assert (await Outbound(allow=[allowed]).request("GET", wire.url)).status == 200
        for other in ("localhost", f"127.0.0.1:{wire.port + 1}", "127.0.0.1:80"):
            with pytest.raises(OutboundError, match="is not https"):
                await Outbound(allow=[other]).request("GET", wire.url)
            with pytest.raises(OutboundError, match="not globally routable"):
                await Outbound(allow=[other]).request("GET", wire.url.replace("http:", "https:"))
    assert len(wire.heads) == 2


async def test_plain_http_goes_to_loopback_alone() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["8.8.8.8"] if host == "public.example" else ["10.0.0.1"]

    for client in (Outbound(resolve=resolve), Outbound(resolve=resolve, local=True)):
        with pytest.raises(OutboundError, match="not https"):
            await client.request("GET", "http://public.example/")
    with pytest.raises(OutboundError, match="not https"):
        await Outbound(resolve=resolve, local=True).request("GET", "http://private.example/")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/", "file:///etc/passwd", "gopher://a.example/", "//a.example/", "/path", "", "https://", "https:///x",
        "https://user:pw@a.example/", "https://@a.example/", "https://a@b@c.example/", "https://a.example\\@evil.example/",
        "https://a.example/\r\nX: y", "https://a example/", "https://a.example:99999/", "https://a.example:0/", "https://[::1/",
    ],
)  # fmt: skip
async def test_a_url_that_is_no_plain_https_url_is_refused(url: str) -> None:
    with pytest.raises(OutboundError) as refused:
        await Outbound(local=True, transport=httpx2.MockTransport(lambda _: httpx2.Response(200))).request("GET", url)
    assert refused.value.reason == str(refused.value)


@pytest.mark.requirement("attack-57")
async def test_the_connection_goes_to_the_address_that_was_checked(serve: Serve) -> None:
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    asked = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return next(answers)

    async with serve(OK) as wire:
        url = f"http://rebinding.example:{wire.port}/"
        got = await Outbound(resolve=resolve, local=True).request("GET", url)
    assert got.status == 200
    assert asked == [("rebinding.example", wire.port)], "resolved once: what is checked is what is connected"
    assert f"host: rebinding.example:{wire.port}\r\n" in wire.heads[0].lower()


@pytest.mark.requirement("attack-57")
async def test_a_public_answer_followed_by_a_private_one_never_reaches_the_private_address(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected: list[str] = []
    answers = iter([["93.184.215.14"], ["127.0.0.1"]])

    async def resolve(host: str, port: int) -> list[str]:
        return next(answers)

    async def recorded(self: object, request: httpx2.Request) -> httpx2.Response:
        connected.append(request.url.host)
        assert request.extensions["sni_hostname"] == "rebinding.example"
        assert request.headers["host"] == "rebinding.example:8443"
        return httpx2.Response(200, content=b"{}")

    monkeypatch.setattr(httpx2.AsyncHTTPTransport, "handle_async_request", recorded)
    client = Outbound(resolve=resolve)
    await client.request("GET", "https://rebinding.example:8443/")
    with pytest.raises(OutboundError, match="not globally routable"):
        await client.request("GET", "https://rebinding.example:8443/")
    assert connected == ["93.184.215.14"]


async def test_the_next_checked_address_is_tried_when_one_refuses(serve: Serve) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.9", "127.0.0.1"]

    async with serve(OK) as wire:
        assert (
            await Outbound(resolve=resolve, local=True).request("GET", f"http://two.example:{wire.port}/")
        ).status == 200


async def test_a_name_without_address_and_a_closed_port_are_refused(serve: Serve) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return []

    async def fail(host: str, port: int) -> list[str]:
        raise OSError("no such host")

    async with serve(OK) as wire:
        pass
    with pytest.raises(OutboundError, match="no address"):
        await Outbound(resolve=resolve, local=True).request("GET", "https://nowhere.example/")
    with pytest.raises(OutboundError, match="no such host"):
        await Outbound(resolve=fail).request("GET", "https://nowhere.example/")
    with pytest.raises(OutboundError, match="failed"):
        await Outbound(local=True).request("GET", wire.url)


@pytest.mark.requirement("attack-58")
async def test_a_redirect_to_an_internal_address_is_an_answer(serve: Serve) -> None:
    async with (
        serve(OK) as internal,
        serve(head(f"Location: {internal.url}", "Content-Length: 0", status="302 Found")) as wire,
    ):
        got = await Outbound(allow=[f"127.0.0.1:{wire.port}"]).request("GET", wire.url)
    assert (got.status, got.header("location")) == (302, internal.url)
    assert internal.heads == []


@pytest.mark.requirement("attack-58")
@pytest.mark.parametrize("drip", [b"H", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"])
async def test_a_slow_loris_is_left_after_the_total_time(serve: Serve, drip: bytes) -> None:
    async def slowly(writer: asyncio.StreamWriter) -> None:
        writer.write(drip)
        while True:
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.write(b"x")

    async with serve(slowly) as wire:
        started = asyncio.get_running_loop().time()
        with pytest.raises(OutboundError):
            await Outbound(local=True, limits=Limits(seconds=0.4)).request("GET", wire.url)
        assert asyncio.get_running_loop().time() - started < 2


async def test_a_resolver_that_never_answers_is_left_too() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    with pytest.raises(OutboundError, match=r"within 0\.2 seconds"):
        await Outbound(resolve=resolve, limits=Limits(seconds=0.2)).request("GET", "https://slow.example/")


async def test_a_long_body_is_cut_and_not_read_on(serve: Serve) -> None:
    written = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(head("Content-Length: 10485760"))
        for _ in range(160):
            writer.write(b"x" * 65536)
            await writer.drain()
            written += 65536

    async with serve(flood) as wire:
        got = await Outbound(local=True, limits=Limits(body=1000)).request("GET", wire.url)
        await asyncio.sleep(0.1)
    assert (len(got.body), got.truncated) == (1000, True)
    assert written < 10_485_760
    with pytest.raises(ValueError, match="longer than the limit"):
        got.json()


@pytest.mark.requirement("attack-58")
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "x-gzip"])
async def test_a_bomb_is_not_inflated_beyond_the_limit(serve: Serve, encoding: str) -> None:
    plain = b"\0" * 50_000_000
    body = zlib.compress(plain, 9) if encoding == "deflate" else gzip.compress(plain, 9)
    async with serve(head(f"Content-Encoding: {encoding}", f"Content-Length: {len(body)}") + body) as wire:
        got = await Outbound(local=True).request("GET", wire.url)
    assert (len(got.body), got.truncated) == (512 * 1024, True)


async def test_a_small_compressed_body_is_read_and_a_broken_or_foreign_one_refused(serve: Serve) -> None:
    body = gzip.compress(b'{"a": 1}')
    async with serve(head("Content-Encoding: gzip", f"Content-Length: {len(body)}") + body) as wire:
        assert (await Outbound(local=True).request("GET", wire.url)).json() == {"a": 1}
    for encoding in ("gzip", "br", "gzip, gzip"):
        async with serve(head(f"Content-Encoding: {encoding}", "Content-Length: 4") + b"nope") as wire:
            with pytest.raises(OutboundError):
                await Outbound(local=True).request("GET", wire.url)


@pytest.mark.parametrize(
    "bytes_",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000,
    ],
)
async def test_what_is_no_http_is_an_error(serve: Serve, bytes_: bytes) -> None:
    async with serve(bytes_) as wire:
        with pytest.raises(OutboundError):
            await Outbound(local=True).request("GET", wire.url)


async def test_proxies_of_the_environment_are_not_used(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve(OK) as wire, serve(OK) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        await Outbound(local=True).request("GET", wire.url)
    assert (len(wire.heads), proxy.heads) == (1, [])


async def test_no_cookie_is_kept(serve: Serve) -> None:
    async with serve(head("Set-Cookie: a=b", "Content-Length: 0")) as wire:
        client = Outbound(local=True)
        await client.request("GET", wire.url)
        await client.request("GET", wire.url)
    assert "cookie" not in wire.heads[1].lower()


async def test_a_header_that_would_smuggle_another_is_refused(serve: Serve) -> None:
    async with serve(OK) as wire:
        with pytest.raises(OutboundError):
            await Outbound(local=True).request("GET", wire.url, headers={"X": "a\r\nY: b"})
    assert wire.heads == []


async def test_only_the_origins_that_were_named_are_asked(serve: Serve) -> None:
    async with serve(OK) as wire, serve(OK) as other:
        client = Outbound(local=True, only=[f"{wire.url}mcp", "https://named.example/mcp"])
        assert (await client.request("GET", f"{wire.url}elsewhere")).status == 200
        for url in (
            other.url,
            f"http://localhost:{wire.port}/",
            f"https://127.0.0.1:{wire.port}/",
            "https://as.example/",
        ):
            with pytest.raises(OutboundError, match="not among the servers that may be asked"):
                await client.request("POST", url)
        assert other.heads == []


@pytest.mark.parametrize("value", ["Bearer a\x9bb", "Bearer \ud800", "Bearer é"])
async def test_a_header_that_cannot_be_sent_is_refused(value: str) -> None:
    with pytest.raises(OutboundError, match="characters that cannot be sent"):
        await Outbound(local=True).request("GET", "http://127.0.0.1:1/", headers={"Authorization": value})
