"""What the servers and clients of one test process share, because making it costs more than most tests."""

import asyncio
import copy
import dataclasses
import functools
import sys
from collections.abc import Callable
from typing import Any

import httpcore2
import uvicorn.server
from fastmcp.server.dependencies import transform_context_annotations
from fastmcp.tools.function_parsing import ParsedFunction

from oauth_server.core import key_ring


class _Parsing:
    """FastMCP's reading of a tool's signature: each server registers the same functions over other variables."""

    def __init__(self) -> None:
        self._parse = ParsedFunction.from_function
        self._known: dict[object, ParsedFunction] = {}

    def __call__(self, fn: Callable[..., Any], **options: bool) -> ParsedFunction:
        key = (fn.__module__, fn.__qualname__, fn.__code__, *options.items())
        if key not in self._known:
            self._known[key] = self._parse(fn, **options)
        known = self._known[key]
        schemas = copy.deepcopy((known.input_schema, known.output_schema))
        return dataclasses.replace(
            known, fn=transform_context_annotations(fn), input_schema=schemas[0], output_schema=schemas[1]
        )


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
ParsedFunction.from_function = _Parsing()
