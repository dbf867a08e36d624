"""Secrets that are known, what handed each of them out, and every place where one was seen besides."""

import json
from base64 import b64encode
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import quote, quote_plus

import httpx2


@cache
def spellings(value: str) -> set[str]:
    """How a value may be written: as it is, percent-encoded, in JSON, as UTF-8 in hexadecimal, in base64."""
    written = {value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1], value.encode().hex()}
    for shift in range(3):  # base64 of a text that the value is part of, wherever in it
        whole = b64encode(b"x" * shift + value.encode()).decode()
        written.add(whole[4:-4])
    return written


@dataclass
class Canaries:
    """The secrets of one run, by name, and every HTTP answer that was seen."""

    secrets: dict[str, str] = field(default_factory=dict)
    replies: list[tuple[httpx2.Response, str]] = field(default_factory=list)
    handed: dict[str, list[httpx2.Response]] = field(default_factory=dict)
    # What goes to and fro by its nature: a form's CSRF token, a browser's cookie, a client's state.
    travelling: set[str] = field(default_factory=set)

    def add(self, name: str, value: str, *replies: httpx2.Response, travels: bool = False) -> str:
        """Note a secret, and the answers that hand it out."""
        assert len(value) >= 12, (name, value)
        self.secrets[name] = value
        self.handed.setdefault(name, []).extend(replies)
        if travels:
            self.travelling.add(name)
        return value

    def hands_out(self, name: str, reply: httpx2.Response) -> None:
        """Note one more answer that rightly holds this secret."""
        self.handed[name].append(reply)

    async def see(self, reply: httpx2.Response) -> None:
        """An event hook for clients: keep the answer."""
        await reply.aread()
        head = "\n".join(f"{name}: {value}" for name, value in reply.headers.multi_items())
        self.replies.append((reply, f"{head}\n\n{reply.text}"))

    def watch(self, client: httpx2.AsyncClient) -> httpx2.AsyncClient:
        """Keep every answer that this client gets."""
        hooks = client.event_hooks
        client.event_hooks = {**hooks, "response": [*hooks["response"], self.see]}
        return client

    def found_in(self, place: str, text: str | bytes, *, but: tuple[str, ...] = ()) -> list[str]:
        """Name each secret that stands in a text, in whatever case, and where."""
        content = (text.encode(errors="surrogateescape") if isinstance(text, str) else text).lower()
        found = []
        for name, value in self.secrets.items():
            if name in but:
                continue
            for spelling in spellings(value):
                known = spelling.lower().encode()
                at = content.find(known)
                if at >= 0:
                    found.append(f"{name} in {place}: …{content[max(0, at - 160) : at + len(known) + 40]!r}…")
                    break
        return found

    def in_replies(self) -> list[str]:
        """Name each secret in an answer that does not hand it out."""
        found = []
        for reply, text in self.replies:
            but = tuple(
                name for name in self.secrets if name in self.travelling or any(r is reply for r in self.handed[name])
            )
            request = reply.request
            told = f"{reply.status_code} to {request.method} {request.url.copy_with(query=None)}"
            found += self.found_in(told, text, but=but)
        return found


def record(reply: httpx2.Response) -> dict[str, Any]:
    """The JSON object of an answer."""
    found: dict[str, Any] = reply.json()
    return found
