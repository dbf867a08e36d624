"""`check` on a terminal: colours, a bar that goes away, a question, a password, Ctrl-C."""

import json
import re
from pathlib import Path

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from tests.commands.conftest import Shell
from tests.support.loopback import serving
from tests.support.program import SERVER, run
from tests.support.server import OWNER, PASSWORD, Running
from tests.support.terminal import terminal

NOT_FOUND = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
QUESTION = "This registers clients at as.invalid and sends requests that must be refused. Are you the operator? [y/N] "


def foreign(path: str) -> str:
    """A server of this computer whose authorization server is somebody else's."""
    body = json.dumps({"resource": "http://127.0.0.1/mcp", "authorization_servers": ["https://as.invalid"]})
    found = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
    return found if "oauth-protected-resource" in path else NOT_FOUND


async def session(env: dict[str, str], *words: str, answers: dict[str, str]) -> tuple[int, str]:
    """Run `check WORDS` on a terminal, and type each answer when its question is seen; how it ended, what was seen."""

    def seen() -> tuple[int, str]:
        with terminal(env, "check", *words) as screen:
            for question, answer in answers.items():
                screen.expect(question)
                screen.type(answer)
            return screen.status(), screen.seen

    return await anyio.to_thread.run_sync(seen)


async def test_a_terminal_sees_colours_and_a_bar_that_goes_away(server: Running, env: dict[str, str]) -> None:
    status, seen = await session({**env, "TERM": "xterm"}, answers={})
    assert status == 0
    bars = re.findall(r"\r\x1b\[K\[[#.]{24}\] (\d+)/(\d+) [^\r\n]+", seen)
    assert len(bars) > 10
    assert bars[-1][0] == bars[-1][1]
    report = seen.rpartition("\r\x1b[K")[2]
    assert report.startswith(f"\x1b[1m{server.url}/mcp\x1b[0m\r\n")
    assert "\x1b[32mPASS \x1b[0m MUST" in report
    assert max(len(line) for line in re.sub(r"\x1b\[\d+m", "", report).splitlines() if "http" not in line) <= 80


@pytest.mark.parametrize("more", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
async def test_colours_are_left_out_where_nobody_wants_them(
    server: Running, env: dict[str, str], more: dict[str, str]
) -> None:
    _, seen = await session({**env, "TERM": "xterm", **more}, answers={})
    assert "\x1b" not in seen.rpartition("\r\x1b[K")[2]
    assert "\nPASS  MUST" in seen


@pytest.mark.parametrize(
    ("answer", "status", "said"), [("y", 1, "FAIL "), ("n", 1, "Nothing was sent that "), ("", 1, "Noth")]
)
async def test_the_operator_is_asked_for_their_word(env: dict[str, str], answer: str, status: int, said: str) -> None:
    asked: list[str] = []
    async with serving(lambda path: (asked.append(path), foreign(path))[1]) as url:
        found, seen = await session(env, f"{url}/mcp", "--depth", "active", answers={QUESTION: f"{answer}\n"})
    assert (found, said in seen.partition(QUESTION)[2]) == (status, True), seen
    assert (len(asked) > 10) == (answer == "y")


async def test_a_password_is_asked_for_where_none_was_given(server: Running, env: dict[str, str]) -> None:
    words = ("--depth", "active", "--user", OWNER)
    status, seen = await session(env, *words, answers={f"Password of {OWNER} at {server.url}: ": f"{PASSWORD}\n"})
    assert status == 0, seen
    assert PASSWORD not in seen


async def test_ctrl_c_ends_a_run_at_once(shell: Shell, env: dict[str, str]) -> None:
    before: list[str] = []

    def silent_at_last(path: str) -> str | None:
        before.append(path)
        return NOT_FOUND if len(before) == 1 else None

    async with serving(silent_at_last) as url:

        def interrupted() -> tuple[int, str]:
            with terminal(env, "check", f"{url}/mcp") as screen:
                while len(before) < 2:
                    anyio.from_thread.run(anyio.sleep, 0.01)
                anyio.from_thread.run(anyio.sleep, 0.3)  # whatever it asks at the same time has been asked
                screen.type("\x03")
                return screen.status(), screen.seen

        status, seen = await anyio.to_thread.run_sync(interrupted)
    assert status == 130, seen
    assert "Interrupted." in seen
    assert "Traceback" not in seen


async def test_what_is_no_terminal_sees_neither_bar_nor_colours(
    server: Running, env: dict[str, str], tmp_path: Path
) -> None:
    ended = await run(*SERVER, "check", env={**env, "TERM": "xterm"})
    assert (ended.status, ended.err) == (0, "")
    assert "\x1b" not in ended.out


async def test_the_bar_stays_within_a_narrow_terminal(server: Running, env: dict[str, str]) -> None:
    _, seen = await session({**env, "COLUMNS": "30"}, answers={})
    assert max(len(part) for part in re.findall(r"\x1b\[K([^\r\n\x1b]*)", seen)) <= 29
