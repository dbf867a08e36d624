"""Targets of `check`: hosts that publish JSON documents and keep what they are sent."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

PASSWORD, SECRET = "the operator's password", "the-operators-client-secret"
LOGIN = '<form method="post"><input name="username"><input type="password" name="password"><button>Go</button></form>'
SENT = {PASSWORD: b"the+operator", SECRET: b"dGhlLW9wZXJhdG9ycy1jbGllbnQtc2VjcmV0"}  # as a form and as Basic have them


@dataclass
class Host:
    """A server on a port of its own: JSON documents by path, a login form at `/authorize`; keeps what it was sent."""

    url: str = ""
    documents: dict[str, Any] = field(default_factory=dict)
    heard: bytearray = field(default_factory=bytearray)
    asked: list[str] = field(default_factory=list)

    def got(self, secret: str) -> bool:
        """Whether the secret was sent here in any spelling."""
        return any(form in self.heard for form in (secret.encode(), SENT[secret], b"OnRoZS1vcGVyYXRvcnM"))

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next((int(line[15:]) for line in head.lower().splitlines() if line[:15] == b"content-length:"), 0)
            self.heard += head + await reader.readexactly(length)
            path = head.split(b" ")[1].decode().partition("?")[0]
            self.asked.append(path)
            found = self.documents.get(path)
            html = path == "/authorize"
            body = LOGIN if html else json.dumps(found or {"error": "invalid_client"})
            status = "200 OK" if html or found else "401 No" if path in {"/mcp", "/token"} else "404 No"
            kind = "text/html" if html else "application/json"
            fields = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close"
            writer.write(f"HTTP/1.1 {status}\r\n{fields}\r\n\r\n{body}".encode())
            await writer.drain()
        writer.close()
