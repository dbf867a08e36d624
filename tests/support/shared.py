"""What the servers and clients of one test process share, because making it costs more than most tests."""

import asyncio
import functools
import sys
from typing import Any

import httpcore2
import uvicorn.server

from oauth_server.core import key_ring

__all__: list[str] = []


class _Brisk:
    """asyncio as uvicorn sees it here: it looks ten times a second whether to end, and thousands of servers end."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    @staticmethod
    async def sleep(seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))


uvicorn.server.asyncio = _Brisk()
# Parsing a PEM: the keys are the same in every copy of the template.
key_ring.load_key = functools.lru_cache(maxsize=64)(key_ring.load_key)
# Reading the system's trust anchors: 17 ms for each HTTP client, of which a test makes several.
httpcore2.default_ssl_context = functools.cache(httpcore2.default_ssl_context)
# httpx2 looks for this package at each request to an application in this process; nobody here runs trio.
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]
