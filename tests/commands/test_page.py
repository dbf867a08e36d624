"""docs/command-line.md shows real runs: every command on the page is run in its order, and answers in the shape shown."""

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from oauth_server.core.jwt import generate_pem
from tests.commands.conftest import Shell
from tests.support.program import ROOT, Ended
from tests.support.server import Running

PAGE = ROOT / "docs" / "command-line.md"
PASSWORD = "a password of bob's own"
PROMPT = re.compile(r"\$ (?P<env>(?:[A-Z_]+=\S+ )*)uv run server\.py (?P<words>.+?)(?P<stdin> < password\.txt)?")
IDENTIFIER = re.compile(r"(?<![\w/-])(?:[\w-]{22}|[\w-]{43}|[0-9a-f]{16})(?![\w-])")
# What differs between two runs, the longest first.
VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "TIME"),
    (re.compile(r"(?:sqlite|postgresql)(?:\+psycopg)?://[^\s;]+"), "DATABASE"),
    (re.compile(r"http://localhost:\d{4,5}"), "ISSUER"),
    (re.compile(r"(?<![\w-])[\w-]{43}(?![\w-])"), "SECRET"),
    (re.compile(r"(?<![\w-])[\w-]{24}(?= \(shown)"), "PASSWORD"),
    (IDENTIFIER, "ID"),
    (re.compile(r"\d+(\.\d+)?"), "N"),
    (re.compile(r" {2,}"), "  "),
)


@dataclass
class Step:
    """A command of the page and the answer shown under it."""

    command: str
    shown: str


def steps() -> list[Step]:
    """Every command on the page, in order."""
    found: list[Step] = []
    for block in re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        for line in block.splitlines(keepends=True):
            if line.startswith("$ "):
                found.append(Step(line.rstrip("\n"), ""))
            else:
                found[-1].shown += line
    return found


def shape(text: str) -> str:
    """The text without what differs between two runs."""
    for pattern, name in VARYING:
        text = pattern.sub(name, text)
    return text


def pattern_of(shown: str) -> str:
    """What an answer must look like; a line `…` stands for any lines."""
    return "".join("(?:.*\n)*" if line == "…\n" else re.escape(line) for line in shape(shown).splitlines(keepends=True))


async def test_every_command_of_the_page_answers_as_the_page_shows(
    server: Running, shell: Shell, host: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # commands write files, and one reads what openssl wrote
    pem = tmp_path / "signing.pem"
    pem.touch(0o600)  # as openssl makes it
    pem.write_text(generate_pem("ES256"))
    target = await host()
    resource = f"{target.url.replace('127.0.0.1', 'localhost')}/mcp"
    metadata = {"resource": resource, "authorization_servers": ["https://login.example"]}
    target.documents["/.well-known/oauth-protected-resource/mcp"] = metadata
    actual = {"http://localhost:3000/mcp": resource}  # the identifiers of the page, and of this run
    last = Ended(0, "", "")
    ran = set()
    for step in steps():
        if step.command == "$ echo $?":
            assert step.shown == f"{last.status}\n"
            continue
        parts = PROMPT.fullmatch(step.command)
        assert parts, step.command
        words = [actual.get(word, word) for word in shlex.split(parts["words"])]
        env = dict(pair.split("=", 1) for pair in parts["env"].split())
        last = await shell(*words, stdin=PASSWORD if parts["stdin"] else "", **env)
        ran.add(words[0])
        said = last.out + last.err
        assert re.fullmatch(pattern_of(step.shown), shape(said)), f"{step.command}\n{said}"
        named, found = IDENTIFIER.findall(step.shown), IDENTIFIER.findall(said)
        if len(named) == len(found):
            actual |= dict(zip(named, found, strict=True))
    assert ran == {
        "users",
        "clients",
        "initial-access-tokens",
        "keys",
        "audit",
        "config",
        "check",
        "backup",
        "restore",
        "copy",
        "migrate",
    }
