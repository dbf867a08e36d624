"""Run the checks of a version and a depth against one server, and end with a report whatever the server does."""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final

import anyio

from oauth_server.compliance import urls
from oauth_server.compliance.inert import READ, inert
from oauth_server.compliance.model import (
    Check,
    Depth,
    Evidence,
    Missing,
    Progress,
    Result,
    Shown,
    SpecVersion,
    Verdict,
    reaches,
)
from oauth_server.compliance.parties import Client
from oauth_server.compliance.report import Report
from oauth_server.compliance.survey import Survey
from oauth_server.compliance.tables import CHECKS
from oauth_server.compliance.visitor import Visitor
from oauth_server.outbound import Limits, Outbound, OutboundError

SECONDS: Final = 120.0
BODY: Final = 256 * 1024  # bytes of an answer that are read
LIMITS: Final[Mapping[Depth, Limits]] = {
    "passive": Limits(body=BODY, requests=60),
    "active": Limits(body=BODY, requests=500),
    "adversarial": Limits(body=BODY, requests=1000),
}
"""What the client of a run may take, by its depth."""
SUMMARY: Final = 400
LINE: Final = 300
EXCERPT: Final = 300
MOST_EVIDENCE: Final = 4


async def audit(
    target: str,
    *,
    outbound: Outbound,
    spec_version: SpecVersion = "2026-07-28",
    depth: Depth = "passive",
    access_token: str = "",
    visitor: Visitor | None = None,
    client: Client | None = None,
    progress: Progress | None = None,
    sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    now: Callable[[], float] = time.time,
    seconds: float = SECONDS,
    places: Mapping[str, str] | None = None,
) -> Report:
    """Judge a server by its answers.

    `target`: the URL of an MCP endpoint, or an origin whose `/mcp` and root are then probed; ValueError when it is no
    absolute http or https URL. `access_token` goes to that endpoint alone, and not at depth `passive`. `visitor` signs
    in and consents where authorization is asked for; without one, no flow is walked. `client`: one that the operator
    registered, for servers that register none. `progress` is told at the start and of each check that is judged.
    `seconds` bounds the run: what is not judged by then is an `error`. `places`: the origin at which an endpoint is
    asked, by its metadata name (`token_endpoint`), for those that get a secret of the visitor or the client.
    """
    if urls.read(target) is None:
        raise ValueError("the target is not an absolute http or https URL")
    started = now()
    survey = Survey(target, outbound, spec_version, access_token, started, visitor, client, sleep, places)
    checks = [c for c in CHECKS if spec_version in c.levels and reaches(depth, c.depth)]
    results: dict[str, Result] = {}

    async def settle(check: Check) -> None:
        results[check.id] = await run_check(check, survey)
        if progress is not None:
            await progress(len(results), len(checks), check.title)

    try:
        with anyio.move_on_after(seconds):
            if progress is not None:
                await progress(0, len(checks), "Looking for the server's documents")
            async with anyio.create_task_group() as tasks:
                for check in checks:
                    tasks.start_soon(settle, check)
    finally:
        left = [inert(sentence, LINE, survey.secrets) for sentence in await survey.walk.take_back()]
    late = f"the run's {seconds:g} seconds were over before this was judged"
    found = tuple(results.get(check.id) or Result(check, "error", late) for check in checks)
    return Report(
        inert(target, LINE),
        spec_version,
        depth,
        started,
        found,
        tuple(inert(item, LINE, survey.secrets) for item in left),
    )


async def run_check(check: Check, survey: Survey) -> Result:
    """Run one check: what is missing is a skip, what goes wrong an error."""
    secrets = survey.secrets
    try:
        verdict = await check.run(survey)
    except Missing as missing:
        return Result(check, "skip", _sentence(str(missing), secrets))
    except OutboundError as error:
        return Result(check, "error", _sentence(error.reason, secrets))
    except Exception as error:  # noqa: BLE001 - a hostile answer may upset one check, never the run
        return Result(check, "error", _sentence(f"the check itself failed: {type(error).__name__}: {error}", secrets))
    unmet: Final = "fail" if check.levels[survey.version] == "MUST" else "warn"
    evidence = tuple(_evidence(shown, secrets) for shown in _distinct(verdict))
    return Result(check, "pass" if verdict.met else unmet, _sentence(verdict.summary, secrets), evidence)


def _distinct(verdict: Verdict) -> Sequence[Shown]:
    return list(dict.fromkeys(verdict.shown))[:MOST_EVIDENCE]


def _sentence(text: str, secrets: Iterable[str]) -> str:
    """Make a summary fit to print: one line, without secrets."""
    return inert(text, SUMMARY, secrets)


def _evidence(shown: Shown, secrets: Iterable[str]) -> Evidence:
    exchange, seen = shown
    body = exchange.answer.body[:READ].decode(errors="replace")
    return Evidence(
        inert(exchange.request, LINE, secrets),
        exchange.answer.status,
        inert(seen, LINE, secrets),
        inert(body, EXCERPT, secrets),
    )
