"""Documents served as bytes built once, with an ETag and a time to keep them (RFC 9110 sections 8.8 and 13)."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

RawHeaders = list[tuple[bytes, bytes]]


class Prebuilt:
    """One document, rendered and ready to send."""

    def __init__(self, document: Mapping[str, Any], max_age: int, *, vary: str = "") -> None:
        self.body = json.dumps(document, indent=2).encode() + b"\n"
        self.etag = f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'
        self.fixed: RawHeaders = [
            (b"cache-control", f"public, max-age={max_age}".encode()),
            (b"etag", self.etag.encode()),
        ]
        if vary:
            self.fixed.append((b"vary", vary.encode()))

    async def send(self, scope: Scope, headers: Headers, send: Send) -> None:
        """Send it, or 304 when the client has it."""
        known = {tag.strip().removeprefix("W/") for tag in headers.get("if-none-match", "").split(",")}
        if known & {self.etag, "*"}:
            await send({"type": "http.response.start", "status": 304, "headers": self.fixed})
            await send({"type": "http.response.body", "body": b""})
            return
        length = (b"content-length", str(len(self.body)).encode())
        raw = [*self.fixed, (b"content-type", b"application/json"), length]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else self.body})


class Document:
    """The endpoint of a document; `choose` picks the prebuilt form for a Host header."""

    def __init__(self, choose: Callable[[str], Prebuilt]) -> None:
        self._choose = choose

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        del receive
        headers = Headers(scope=scope)
        if scope["method"] not in ("GET", "HEAD"):
            raw = [(b"allow", b"GET, HEAD"), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 405, "headers": raw})
            await send({"type": "http.response.body", "body": b""})
            return
        await self._choose(headers.get("host", "")).send(scope, headers, send)
