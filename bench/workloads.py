"""What is asked of the servers, and how each answer must look."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from jose import JWTError, jwt

from bench.load import Answer, Unit, Work, WrongAnswerError
from bench.peers import Peer, Slot, asked
from tests.support.oauth import CALLBACK, Pkce

OK, NOT_MODIFIED, UNAUTHORIZED = 200, 304, 401
TOOL = "mcp_oauth_protected_resource_metadata"
TOOLS = 6


def require(fine: object, what: str, answer: Answer) -> None:
    """Raise WrongAnswerError unless it is."""
    if not fine:
        said = f"{answer.status} {answer.body[:300].decode(errors='replace')}"
        raise WrongAnswerError(f"{what}; it answered {said}")


@dataclass
class Wanted:
    """Requests to one peer; the access tokens that it issued are kept, so that each can be verified afterwards."""

    peer: Peer
    tokens: list[tuple[str, str]] = field(default_factory=list)  # client id, access token
    addresses: Iterator[int] = field(default_factory=count)

    def get(self, path: str, fields: str = "") -> bytes:
        """A GET request; `fields` are header lines, each with its end."""
        return f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n{self.forwarded()}{fields}\r\n".encode()

    @property
    def host(self) -> str:
        """The host and port that the server is known by."""
        return urlsplit(self.peer.issuer).netloc if self.peer.proxied else f"localhost:{self.peer.server.port}"

    def forwarded(self) -> str:
        """What a reverse proxy adds to a request; each comes from another address, as of many people."""
        if not self.peer.proxied:
            return ""
        number = next(self.addresses)
        address = f"198.18.{number // 250 % 250}.{number % 250}"
        return f"X-Forwarded-Proto: https\r\nX-Forwarded-For: {address}\r\n"

    def post(self, path: str, form: Mapping[str, str]) -> bytes:
        """A POST request with a form."""
        body = urlencode(form)
        return (
            f"POST {path} HTTP/1.1\r\nHost: {self.host}\r\n{self.forwarded()}"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    def issued(self, answer: Answer, client_id: str) -> dict[str, Any]:
        """The token response, which must be complete."""
        require(answer.status == OK, "a token request was refused", answer)
        found: dict[str, Any] = json.loads(answer.body)
        token = found.get("access_token")
        require(isinstance(token, str) and found["token_type"].lower() == "bearer", "no bearer token came", answer)
        self.tokens.append((client_id, str(token)))
        return found

    # Constant answers: the first one is looked at, the others must be the same.

    def constant(self) -> Work:
        """GET of a constant."""
        request = self.get(self.peer.paths.constant)
        return self.same(request, lambda answer: answer.status == OK and json.loads(answer.body)["status"] == "ok")

    def form(self) -> Work:
        """POST of a form whose answer is a constant."""
        request = self.post(self.peer.paths.constant, {"grant_type": "refresh_token", "refresh_token": "x" * 43})
        return self.same(request, lambda answer: answer.status == OK and json.loads(answer.body)["status"] == "ok")

    def metadata(self) -> Work:
        """The authorization server's metadata (RFC 8414)."""
        issuer = self.peer.issuer
        request = self.get(self.peer.paths.metadata)
        return self.same(request, lambda answer: json.loads(answer.body)["issuer"].rstrip("/") == issuer)

    def jwks(self) -> Work:
        """The key set."""
        return self.same(self.get(self.peer.paths.jwks), lambda answer: bool(json.loads(answer.body)["keys"]))

    def not_modified(self) -> Work:
        """The metadata, which the client has (RFC 9110 section 13.1.2)."""
        requests: list[bytes] = []

        def work(_slot: int) -> Unit:
            if not requests:
                first = yield self.get(self.peer.paths.metadata)
                tag = first.header(b"etag").decode()
                require(tag, "the metadata has no ETag", first)
                requests.append(self.get(self.peer.paths.metadata, f"If-None-Match: {tag}\r\n"))
            answer = yield requests[0]
            require(answer.status == NOT_MODIFIED, "what did not change was sent again", answer)

        return work

    def unauthorized(self) -> Work:
        """A call without a token, which is told where to get one (RFC 9728 section 5.1)."""
        request = self.mcp(Slot(), "2025-11-25", "tools/list", {})

        def work(_slot: int) -> Unit:
            answer = yield request
            fine = answer.status == UNAUTHORIZED and b"resource_metadata=" in answer.head
            require(fine, "a call without a token was not challenged", answer)

        return work

    def same(self, request: bytes, right: Callable[[Answer], bool]) -> Work:
        """A request whose answer is always the same: `right` judges the first one."""
        known: set[bytes] = set()

        def work(_slot: int) -> Unit:
            answer = yield request
            require(answer.status == OK, "it was refused", answer)
            if answer.body not in known:
                require(right(answer), "the answer is not what was asked for", answer)
                known.add(answer.body)
                require(len(known) == 1, "an answer that is constant has changed", answer)

        return work

    # OAuth

    def client_credentials(self) -> Work:
        """A client asks for a token of its own (RFC 6749 section 4.4)."""

        def work(number: int) -> Unit:
            slot = self.peer.slots[number]
            form = {"grant_type": "client_credentials", "scope": "mcp:read", **slot.machine}
            self.issued((yield self.post(self.peer.paths.token, form)), slot.machine["client_id"])

        return work

    def refresh(self) -> Work:
        """A refresh token is exchanged, and another one comes (RFC 9700 section 2.2.2)."""

        def work(number: int) -> Unit:
            slot = self.peer.slots[number]
            form = {"grant_type": "refresh_token", "refresh_token": slot.refresh_token, **slot.auth}
            answer = yield self.post(self.peer.paths.token, form)
            successor = self.issued(answer, slot.client_id).get("refresh_token")
            require(successor and successor != slot.refresh_token, "the refresh token was not rotated", answer)
            slot.refresh_token = str(successor)

        return work

    def code(self) -> Work:
        """An authorization code with PKCE: live session, remembered consent; a confidential client."""

        def work(number: int) -> Unit:
            slot = self.peer.slots[number]
            pkce = Pkce.new()
            query = urlencode(asked(self.peer, slot, pkce))
            # As Chromium says it of an address that a program opened.
            cookie = f"Cookie: {slot.cookie}\r\nSec-Fetch-Site: none\r\n" if slot.cookie else ""
            answer = yield self.get(f"{self.peer.paths.authorize}?{query}", cookie)
            location = answer.header(b"location").decode()
            require(answer.status in (302, 303) and location.startswith(f"{CALLBACK}?"), "no code came", answer)
            told = parse_qs(urlsplit(location).query)
            require(told.get("state") == ["state-of-the-benchmark"] and "code" in told, "no code came", answer)
            form = {"grant_type": "authorization_code", "code": told["code"][0], "redirect_uri": CALLBACK}
            answer = yield self.post(self.peer.paths.token, {**form, "code_verifier": pkce.verifier, **slot.auth})
            require(self.issued(answer, slot.client_id).get("refresh_token"), "no refresh token came", answer)

        return work

    def introspect(self) -> Work:
        """A confidential client asks about an access token of its own (RFC 7662)."""

        def work(number: int) -> Unit:
            slot = self.peer.slots[number]
            answer = yield self.post(self.peer.paths.introspect, {"token": slot.access_token, **slot.auth})
            require(answer.status == OK, "introspection was refused", answer)
            found = json.loads(answer.body)
            fine = found.get("active") is True and found.get("client_id") == slot.client_id
            require(fine, "a live token is called inactive", answer)

        return work

    # MCP

    def mcp(self, slot: Slot, version: str, method: str, params: Mapping[str, Any]) -> bytes:
        """A POST of one JSON-RPC request as a client of that revision sends it."""
        sent = dict(params)
        fields = f"MCP-Protocol-Version: {version}\r\n"
        if version == "2026-07-28":
            sent["_meta"] = {
                "io.modelcontextprotocol/protocolVersion": version,
                "io.modelcontextprotocol/clientCapabilities": {},
            }
            fields += f"Mcp-Method: {method}\r\n" + (f"Mcp-Name: {params['name']}\r\n" if "name" in params else "")
        elif slot.session_id:
            fields += f"Mcp-Session-Id: {slot.session_id}\r\n"
        if slot.access_token:
            fields += f"Authorization: Bearer {slot.access_token}\r\n"
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": sent})
        return (
            f"POST /mcp HTTP/1.1\r\nHost: localhost:{self.peer.server.port}\r\nContent-Type: application/json\r\n"
            f"Accept: application/json, text/event-stream\r\n{fields}Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    def tools_list(self, version: str) -> Work:
        """The list of tools."""
        return self._message(version, "tools/list", {}, lambda result: len(result["tools"]) == TOOLS)

    def tools_call(self, version: str) -> Work:
        """A call of a tool that tells what is the same each time."""
        params = {"name": TOOL, "arguments": {}}
        return self._message(
            version,
            "tools/call",
            params,
            lambda result: not result.get("isError") and "mcp:read" in result["structuredContent"]["scopes_supported"],
        )

    def _message(self, version: str, method: str, params: Mapping[str, Any], right: Callable[[Any], bool]) -> Work:
        requests = [self.mcp(slot, version, method, params) for slot in self.peer.slots]
        works = [self.same(request, lambda answer: right(_result(answer))) for request in requests]
        return lambda number: works[number](number)

    def verify(self, keys: Mapping[str, Any] | None) -> None:
        """Verify every access token that was issued since the last time; without keys they must differ at least."""
        tokens, self.tokens = self.tokens, []
        if len({token for _, token in tokens}) != len(tokens):
            raise WrongAnswerError(f"{self.peer.server.name} issued the same access token twice")
        if keys is None:
            return
        for client_id, token in tokens:
            try:
                claims = jwt.decode(token, keys, algorithms=["ES256"], options={"verify_aud": False})
            except JWTError as error:
                raise WrongAnswerError(f"{self.peer.server.name} issued a token that is wrong: {error}") from None
            if (claims["iss"], claims["client_id"]) != (self.peer.issuer, client_id):
                raise WrongAnswerError(f"{self.peer.server.name} issued a token for somebody else")


def _result(answer: Answer) -> Any:
    """The result of a JSON-RPC answer, which is JSON or one event of a stream."""
    text = answer.body.decode()
    if answer.header(b"content-type").startswith(b"text/event-stream"):
        text = next(line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: "))
    found = json.loads(text)
    require("result" in found, "the call failed", answer)
    return found["result"]
