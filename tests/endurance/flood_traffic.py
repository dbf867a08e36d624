"""One process of load for flood.py: valid traffic, as much as goes or at a rate, or hostile traffic at a rate.

`python -m tests.endurance.flood_traffic` takes a JSON order on stdin, and tells what happened as JSON on stdout.
"""

import asyncio
import json
import random
import secrets
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import uvloop

from tests.support.browser import form_of
from tests.support.oauth import CALLBACK, Pkce

FORM = "application/x-www-form-urlencoded"
KEPT = 4  # seconds


class Wire:
    """One kept-alive HTTP/1.1 connection, as little of a client as goes: its cost is not to be the server's."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._used = 0.0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self, method: str, path: str, body: bytes = b"", kind: str = FORM, **fields: str
    ) -> tuple[int, bytes, bytes]:
        """Status, head and body of the answer."""
        # The server closes what was idle for five seconds; whoever keeps connections opens another one sooner.
        if self._streams is None or time.monotonic() - self._used > KEPT:
            self.close()
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        self._used = time.monotonic()
        reader, writer = self._streams
        lines = [f"{method} {path} HTTP/1.1", f"Host: localhost:{self._port}", f"Content-Length: {len(body)}"]
        lines += [f"Content-Type: {kind}"] if body else []
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        try:
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            head = await reader.readuntil(b"\r\n\r\n")
            found = await self._body(reader, head.lower())
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            raise ConnectionResetError from None
        if b"connection: close" in head.lower():
            self.close()
        return int(head[9:12]), head, found

    async def _body(self, reader: asyncio.StreamReader, head: bytes) -> bytes:
        if b"\r\ncontent-length: " in head:
            return await reader.readexactly(int(head.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0]))
        found = b""
        while b"transfer-encoding: chunked" in head:
            size = int(await reader.readline(), 16)
            found += (await reader.readexactly(size + 2))[:size]
            if not size:
                break
        return found

    def close(self) -> None:
        """Close it; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Valid:
    """What clients do: of ten requests four call a tool, three introspect, one refreshes, two walk a code flow."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._state: dict[str, Any] = order["state"]
        self._port: int = order["port"]
        self._idle: list[Wire] = []
        self._turn = 0
        self._clients: list[dict[str, Any]] = self._state["clients"]

    async def one(self) -> str:
        """One request, or for a code flow two; returns what it was. Raises AssertionError for a refusal."""
        self._turn += 1
        which = self._turn % 9
        client = self._clients[self._turn // 9 % len(self._clients)]
        work = (
            self._call if which < 4 else self._introspect if which < 7 else self._refresh if which < 8 else self._flow
        )
        wire = self._idle.pop() if self._idle else Wire(self._port)
        await work(wire, client)
        self._idle.append(wire)
        return work.__name__

    async def _call(self, wire: Wire, client: dict[str, Any]) -> None:
        params = {"name": "mcp_oauth_get_configuration", "arguments": {}}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        accept = {"Accept": "application/json, text/event-stream", "MCP_Protocol_Version": "2025-11-25"}
        token = f"Bearer {client['access_token']}"
        body = json.dumps(message).encode()
        status, _, said = await wire.ask("POST", "/mcp", body, "application/json", Authorization=token, **accept)
        assert (status, b'"isError":true' in said.replace(b" ", b"")) == (200, False), said

    async def _introspect(self, wire: Wire, client: dict[str, Any]) -> None:
        body = urlencode({"token": client["access_token"]}).encode()
        status, _, said = await wire.ask("POST", "/oauth/introspect", body, Authorization=_basic(client))
        assert (status, b'"active":true' in said) == (200, True), said

    async def _refresh(self, wire: Wire, client: dict[str, Any]) -> None:
        if not client["refresh_tokens"]:
            return
        form = {"grant_type": "refresh_token", "refresh_token": client["refresh_tokens"].pop(0)}
        status, _, said = await wire.ask("POST", "/oauth/token", urlencode(form).encode(), Authorization=_basic(client))
        assert status == 200, said
        client["refresh_tokens"].append(json.loads(said)["refresh_token"])

    async def _flow(self, wire: Wire, client: dict[str, Any]) -> None:
        pkce = Pkce.new()
        asked = {
            "client_id": client["client_id"],
            "response_type": "code",
            "redirect_uri": CALLBACK,
            "code_challenge": pkce.challenge,
            "code_challenge_method": "S256",
            "scope": "mcp:read mcp:write",
        }
        sent = {"Cookie": self._state["cookie"], "X_Forwarded_For": f"198.51.100.{self._turn % 256}"}
        sent["Sec_Fetch_Site"] = "none"
        status, head, said = await wire.ask("GET", f"/oauth/authorize?{urlencode(asked)}", **sent)
        assert status == 302, said
        code = head.partition(b"code=")[2].partition(b"&")[0].partition(b"\r")[0].decode()
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        form["code_verifier"] = pkce.verifier
        status, _, said = await wire.ask("POST", "/oauth/token", urlencode(form).encode(), Authorization=_basic(client))
        assert status == 200, said


def _basic(client: dict[str, Any]) -> str:
    return "Basic " + b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()


class Hostile:
    """What a flood consists of, in equal parts, from 2,000 addresses; each counts as one request."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._state: dict[str, Any] = order["state"]
        self._port: int = order["port"]
        self._idle: list[Wire] = []
        self._silent: list[asyncio.StreamWriter] = []
        self._pages: list[tuple[str, str, dict[str, str]]] = []
        self._kinds: list[Callable[[Wire, str], Awaitable[int]]] = [
            self._login,
            self._code,
            self._forged,
            self._registration,
            self._secret,
            self._document,
            self._body,
            self._slow,
        ]
        self._turn = 0

    async def one(self) -> str:
        """One request; returns what it was and how it was answered."""
        self._turn += 1
        kind = self._kinds[self._turn % len(self._kinds)]
        wire = self._idle.pop() if self._idle else Wire(self._port)
        number = random.randrange(2000)  # noqa: S311
        status = 0
        with suppress(ConnectionResetError):
            status = await kind(wire, f"198.18.{number // 250}.{number % 250}")
        self._idle.append(wire)
        return f"{kind.__name__} {status}"

    async def _login(self, wire: Wire, address: str) -> int:
        asked = {
            "client_id": self._state["client_id"],
            "response_type": "code",
            "redirect_uri": CALLBACK,
            "code_challenge": "a" * 43,
            "code_challenge_method": "S256",
        }
        if len(self._pages) < 20:  # a guesser needs one page for many guesses
            status, head, page = await wire.ask("GET", f"/oauth/authorize?{urlencode(asked)}", X_Forwarded_For=address)
            cookies = [
                line.partition(b": ")[2].partition(b";")[0] for line in head.splitlines() if b"et-cookie" in line
            ]
            form = form_of(page.decode())
            self._pages.append((form.action, b"; ".join(cookies).decode(), form.fields))
            return status
        action, cookie, fields = random.choice(self._pages)  # noqa: S311
        guess = {**fields, "username": f"user{random.randrange(10_000)}", "password": secrets.token_hex(8)}  # noqa: S311
        where = "/" + action.split("/", 3)[-1] if action.startswith("http") else action
        sent = {"Cookie": cookie, "Origin": self._state["url"], "X_Forwarded_For": address}
        sent["Sec_Fetch_Site"] = "same-origin"
        return (await wire.ask("POST", where, urlencode(guess).encode(), **sent))[0]

    async def _code(self, wire: Wire, address: str) -> int:
        form = {"grant_type": "authorization_code", "code": secrets.token_hex(16), "redirect_uri": CALLBACK}
        form |= {"client_id": self._state["public_id"], "code_verifier": "v" * 43}
        return (await wire.ask("POST", "/oauth/token", urlencode(form).encode(), X_Forwarded_For=address))[0]

    async def _forged(self, wire: Wire, address: str) -> int:
        signed = self._state["access_token"].rpartition(".")[0]
        token = f"Bearer {signed}.{secrets.token_urlsafe(64)}"
        body = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
        sent = {"Authorization": token, "X_Forwarded_For": address}
        return (await wire.ask("POST", "/mcp", body, "application/json", **sent))[0]

    async def _registration(self, wire: Wire, address: str) -> int:
        body = {"redirect_uris": [CALLBACK], "client_name": secrets.token_hex(8)}
        kind = "application/json"
        return (await wire.ask("POST", "/oauth/register", json.dumps(body).encode(), kind, X_Forwarded_For=address))[0]

    async def _secret(self, wire: Wire, address: str) -> int:
        form = {"client_id": self._state["client_id"], "client_secret": secrets.token_hex(16), "token": "t"}
        return (await wire.ask("POST", "/oauth/introspect", urlencode(form).encode(), X_Forwarded_For=address))[0]

    async def _document(self, wire: Wire, address: str) -> int:
        asked = {
            "client_id": f"https://{secrets.token_hex(8)}.example/client.json",
            "response_type": "code",
            "redirect_uri": CALLBACK,
            "code_challenge": "a" * 43,
            "code_challenge_method": "S256",
        }
        return (await wire.ask("GET", f"/oauth/authorize?{urlencode(asked)}", X_Forwarded_For=address))[0]

    async def _body(self, wire: Wire, address: str) -> int:
        return (await wire.ask("POST", "/oauth/token", b"x" * 65_000, X_Forwarded_For=address))[0]

    async def _slow(self, wire: Wire, address: str) -> int:
        del wire
        _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(f"POST /oauth/token HTTP/1.1\r\nX-Forwarded-For: {address}\r\n".encode())
        self._silent.append(writer)
        return 0


async def as_much_as_goes(traffic: Valid, seconds: float, at_once: int = 8) -> dict[str, Any]:
    """How many requests a second, asked by so many clients without a pause."""
    done, started = 0, time.perf_counter()

    async def client() -> None:
        nonlocal done
        while time.perf_counter() - started < seconds:
            await traffic.one()
            done += 1

    await asyncio.gather(*(client() for _ in range(at_once)))
    return {"rate": done / (time.perf_counter() - started)}


async def at_rate(traffic: Valid | Hostile, rate: float, seconds: float) -> dict[str, Any]:
    """What took how long, in milliseconds from the moment at which it was due."""
    took: list[float] = []
    said: Counter[str] = Counter()
    tasks: set[asyncio.Task[None]] = set()

    async def one(due: float) -> None:
        try:
            said[await traffic.one()] += 1
        except (AssertionError, ConnectionResetError) as error:
            said[f"failed: {str(error)[:200]}"] += 1
        took.append((time.perf_counter() - due) * 1000)

    due = started = time.perf_counter()
    while due < started + seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(one(due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        due += random.expovariate(rate)
    await asyncio.wait([*tasks, asyncio.create_task(asyncio.sleep(0))], timeout=10)
    return {"took": sorted(took), "said": dict(said), "unanswered": len(tasks)}


async def main() -> None:
    """Do what stdin orders."""
    order = json.load(sys.stdin)
    if order["kind"] == "hostile":
        found = await at_rate(Hostile(order), order["rate"], order["seconds"])
    elif order["rate"]:
        found = await at_rate(Valid(order), order["rate"], order["seconds"])
    else:
        found = await as_much_as_goes(Valid(order), order["seconds"])
    json.dump(found | {"clients": order["state"]["clients"]}, sys.stdout)


if __name__ == "__main__":
    uvloop.run(main())
