"""Messages that are piped into the program: each request is answered, what is no message too, and then it exits."""

import asyncio
import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.mcp_http import ERAS, Era, message
from tests.support.program import ROOT, SERVER, environment, initialize

INVALID, UNPARSED = -32600, -32700
STDIO = (*SERVER, "--transport", "stdio")


def opening(era: Era) -> list[dict[str, Any]]:
    return [initialize(), {"jsonrpc": "2.0", "method": "notifications/initialized"}] if era == "legacy" else []


def request(era: Era, about: object, method: str = "tools/list", **params: Any) -> dict[str, Any]:
    return {**message(era, method, params), "id": about}


async def piped(folder: Path, *lines: object) -> list[dict[str, Any]]:
    """Send these, close stdin at once, and wait for the end; the answers, of which initialize has the first."""
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    sent, env = text.encode("utf-8", "surrogateescape"), environment(folder)
    ended = await asyncio.to_thread(
        subprocess.run, STDIO, input=sent, capture_output=True, env=env, cwd=ROOT, timeout=90
    )
    assert (ended.returncode, b"Traceback" in ended.stderr) == (0, False), ended.stderr.decode()
    return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.mark.parametrize("era", ERAS)
async def test_every_request_is_answered_before_the_end(tmp_path: Path, era: Era) -> None:
    slow = request(era, "slow", "tools/call", name="mcp_oauth_check_compliance", arguments={"depth": "active"})
    asked = [*opening(era), slow, *(request(era, number) for number in range(2, 12))]
    found = {answer["id"]: answer for answer in await piped(tmp_path, *asked) if "id" in answer}
    assert found.keys() >= {"slow", *range(2, 12)}
    assert not found["slow"]["result"].get("isError"), found["slow"]
    assert all("result" in answer for answer in found.values())


async def test_a_request_that_was_cancelled_is_not_waited_for(tmp_path: Path) -> None:
    slow = request("legacy", 7, "tools/call", name="mcp_oauth_check_compliance", arguments={})
    gone = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
    found = await piped(tmp_path, *opening("legacy"), slow, gone, request("legacy", 8))
    assert {answer.get("id") for answer in found} == {1, 8}


@pytest.mark.parametrize("era", ERAS)
async def test_what_is_no_message_is_answered_and_never_with_silence(tmp_path: Path, era: Era) -> None:
    wrong = [
        *(request(era, about, "ping") for about in (None, True, {}, [], 1.5)),
        {"jsonrpc": "1.0", "id": 21, "method": "ping"},
        {"jsonrpc": "2.0", "id": 22},
        {"jsonrpc": "2.0", "id": 23, "method": 4},
        {"jsonrpc": "2.0", "id": 24, "method": "ping", "params": "x"},
        [],
        [request(era, 25)],
        7,
        "nonsense",
        '{"jsonrpc": "2.0", "id": 26',
        '{"jsonrpc": "2.0", "id": 27, "method": "\udcff"}',  # a byte that is not UTF-8
    ]
    found = await piped(tmp_path, *opening(era), request(era, 40), *wrong, "", request(era, 41))
    refused = [answer for answer in found if "error" in answer]
    codes = [answer["error"]["code"] for answer in refused]
    assert codes == [INVALID] * 12 + [UNPARSED] * 3
    assert [answer["id"] for answer in refused[:5]] == [None] * 5
    assert [answer["id"] for answer in refused[5:9]] == [21, 22, 23, 24]
    assert {40, 41} <= {answer["id"] for answer in found if "result" in answer}


@pytest.mark.parametrize("era", ERAS)
async def test_an_id_of_one_with_a_fraction_of_zero_is_one(tmp_path: Path, era: Era) -> None:
    found = await piped(tmp_path, *opening(era), request(era, 3.0), request(era, 4))
    assert [answer["id"] for answer in found if answer["id"] != 1] == [3, 4]
    assert all(isinstance(answer["id"], int) for answer in found)


async def test_a_shell_pipe_works(tmp_path: Path) -> None:
    lines = [json.dumps(each) for each in (*opening("legacy"), request("legacy", 2))]
    command = f"printf '%s\\n' {shlex.join(lines)} | {shlex.join(STDIO)}"
    env = environment(tmp_path)
    ended = await asyncio.to_thread(
        subprocess.run, ["sh", "-c", command], capture_output=True, text=True, env=env, cwd=ROOT, timeout=90
    )
    assert ended.returncode == 0, ended.stderr
    assert [json.loads(line)["id"] for line in ended.stdout.splitlines()] == [1, 2]


async def test_nothing_piped_in_ends_at_once(tmp_path: Path) -> None:
    assert await piped(tmp_path) == []


async def test_a_client_that_is_gone_ends_it_without_a_traceback(tmp_path: Path) -> None:
    lines = "".join(f"{json.dumps(each)}\n" for each in (*opening("legacy"), request("legacy", 2)))

    def talk() -> tuple[int, str]:
        pipe = subprocess.PIPE
        with subprocess.Popen(
            STDIO, stdin=pipe, stdout=pipe, stderr=pipe, env=environment(tmp_path), cwd=ROOT
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()  # it reads no answer
            process.stdin.write(lines.encode())
            process.stdin.close()
            return process.wait(60), process.stderr.read().decode()

    status, said = await asyncio.to_thread(talk)
    assert (status, "Traceback" in said) == (0, False), said
