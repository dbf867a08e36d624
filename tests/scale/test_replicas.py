"""Two replicas on one database: any answers any step, and what one ended, all refuse within a second."""

import time

import anyio
import pytest

from tests.commands.conftest import Shell
from tests.support.endings import ENDINGS, Installation
from tests.support.journey import LONGEST, Alternating, journey_in_turn
from tests.support.replicas import InTurn, Replicas


async def test_of_two_that_start_at_once_one_makes_the_owner_and_the_keys(pair: Replicas, operator: Shell) -> None:
    keys = []
    for number in (0, 1):
        async with pair.at(number) as http:
            keys.append((await http.get("/.well-known/jwks.json")).json())
    assert keys[0] == keys[1]
    assert len(keys[0]["keys"]) == 2
    assert len((await operator.says("users", "list", "--json")).splitlines()) == 1
    for each in pair.programs:
        assert "Traceback" not in each.err


async def test_each_answers_the_steps_of_the_other(pair: Replicas) -> None:
    await journey_in_turn(Alternating(pair.url, InTurn(pair.ports)))


@pytest.mark.requirement("attack-64")
@pytest.mark.parametrize("ending", ENDINGS)
async def test_both_refuse_within_a_second_once(pair: Replicas, operator: Shell, ending: str) -> None:
    assert await Installation(pair, operator).time(ENDINGS[ending]) < LONGEST


@pytest.mark.requirement("attack-64")
async def test_both_publish_a_new_key_within_a_second(pair: Replicas, operator: Shell) -> None:
    said = await operator.says("keys", "rotate", "--use", "id", "--now")
    began = time.monotonic()
    for number in (0, 1):
        async with pair.at(number) as http:
            while said.split()[0] not in (await http.get("/.well-known/jwks.json")).text:
                assert time.monotonic() - began < LONGEST
                await anyio.sleep(0.01)
