"""Write docs/compliance-survey.md: `uv run --group test python -m tests.survey --sdk CHECKOUT`, with a checkout of the SDK's repository."""

import argparse
import re
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import anyio

from oauth_server.compliance import Report, Result
from tests.support.npm import install
from tests.survey.peers import Peer, in_memory, judge, oidc_provider, sdk_example, this_server
from tests.survey.verified import VERIFIED

PAGE = Path(__file__).parents[2] / "docs" / "compliance-survey.md"
HEAD = """\
# The auditor on other people's servers

Made by `uv run --group test python -m tests.survey --sdk CHECKOUT`; do not edit. Each server runs on loopback as its own documentation
starts it, and is judged against MCP 2026-07-28 at adversarial depth, by a user who signs in at its login form. What was
found was looked at by hand, once, with the request named in the last column.

| Server | Version | Pass | Fail | Warn | Skip | Error |
|---|---|---|---|---|---|---|
"""
SECTION = """
## {name}

{version}, judged at {what}.

| | Level | Check | What was seen | By hand |
|---|---|---|---|---|
"""


def _cell(text: str) -> str:
    return re.sub(r"([\\|*_`<>\[\]])", r"\\\1", text).replace("\n", " ")


def _row(peer: Peer, report: Report, result: Result) -> str:
    level = result.check.levels[report.spec_version]
    seen = re.sub(r"(localhost|127\.0\.0\.1):\d+", r"\1", result.summary)
    by_hand = VERIFIED.get((peer.key, result.check.id), "**not looked at yet**")
    return (
        f"| {result.status} | {level} | {result.check.id}: {_cell(result.check.title)} | {_cell(seen)} | {by_hand} |\n"
    )


def page(judged: Sequence[tuple[Peer, Report]]) -> str:
    """The page: the counts of all servers, then what was found at each."""
    text = HEAD
    for peer, report in judged:
        counts = " | ".join(str(report.summary[status]) for status in ("pass", "fail", "warn", "skip", "error"))
        text += f"| {peer.name} | {peer.version} | {counts} |\n"
    for peer, report in judged:
        found = [result for status in ("fail", "warn", "error") for result in report.checks if result.status == status]
        what = "its issuer" if not peer.target.endswith("/mcp") else "its MCP endpoint"
        text += SECTION.format(name=peer.name, version=peer.version, what=what)
        text += "".join(_row(peer, report, result) for result in found) or "| | | nothing | | |\n"
    return text


async def survey(checkout: Path) -> str:
    """Start each server, judge it, and return the page."""
    judged: list[tuple[Peer, Report]] = []
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        starts = (
            this_server(folder),
            in_memory(folder),
            sdk_example(checkout, folder),
            oidc_provider(install(), folder),
        )
        for start in starts:
            peer = await stack.enter_async_context(start)
            judged.append((peer, await judge(peer)))
    return page(judged)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sdk", type=Path, required=True, help="a checkout of the MCP Python SDK's repository")
    PAGE.write_text(anyio.run(survey, parser.parse_args().sdk), encoding="utf-8")


if __name__ == "__main__":
    main()
