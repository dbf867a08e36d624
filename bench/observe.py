"""What observing a request costs the server, in microseconds of CPU: `uv run --group bench bench/observe.py`.

An application that answers at once is called with and without the layers around it, in turns; the medians of the
differences are printed. No network and no event loop but Python's own.
"""

import asyncio
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from starlette.routing import Route
from starlette.types import ASGIApp

from oauth_server import metrics
from oauth_server.app.traced import Traced
from oauth_server.gate.observed import Observed

CALLS, ROUNDS = 5_000, 21


async def answer(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer 200."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


ROUTE = Route("/oauth/token", answer)


async def seconds(app: ASGIApp) -> float:
    """CPU seconds of a round of calls."""

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: Any) -> None:
        pass

    started = time.process_time()
    for _ in range(CALLS):
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/oauth/token",
            "scheme": "http",
            "headers": [],
            "route": ROUTE,
        }
        await app({**scope, "client": ("127.0.0.1", 40_000)}, receive, send)
    return time.process_time() - started


async def difference(inner: ASGIApp, outer: ASGIApp) -> float:
    """Microseconds that `outer` costs above `inner`, per call."""
    found = []
    for _ in range(ROUNDS):
        less = await seconds(inner)
        found.append((await seconds(outer) - less) / CALLS * 1e6)
    return statistics.median(found)


def cost(what: Any) -> float:
    """Microseconds of one call."""
    found = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(CALLS):
            what()
        found.append((time.process_time() - started) / CALLS * 1e6)
    return statistics.median(found)


async def main() -> None:
    """Print the table."""
    observed = Observed(answer, lambda _scope, send: send)
    print(f"id, context and header, no metrics      {await difference(answer, observed):6.2f}")
    print(f"a span that nobody takes                {await difference(observed, Traced(observed)):6.2f}")
    print(f"a counter that counts nothing           {cost(lambda: metrics.VERBS.add('read')):6.2f}")
    metrics.start()
    print(f"the same with metrics                   {await difference(answer, observed):6.2f}")
    print(f"a counter                               {cost(lambda: metrics.VERBS.add('read')):6.2f}")
    print(f"a histogram                             {cost(lambda: metrics.BATCH.observe(3)):6.2f}")


asyncio.run(main())
