"""Two replicas on one database: any answers any step, and what one ended, all refuse within a second."""

import time
from typing import Any

import anyio
import httpx2
import pytest

from tests.commands.conftest import Shell
from tests.support.endings import ENDINGS, Installation
from tests.support.journey import LONGEST, Alternating, journey_in_turn
from tests.support.oauth import CALLBACK, Pkce
from tests.support.outside import bearer
from tests.support.registration import as_sent
from tests.support.replicas import InTurn, Replicas


async def test_of_two_that_start_at_once_one_makes_the_owner_and_the_keys(pair: Replicas, operator: Shell) -> None:
    keys = []
    for number in (0, 1):
        async with pair.at(number) as http:
            keys.append((await http.get("/.well-known/jwks.json")).json())
    assert keys[0] == keys[1]
    assert len(keys[0]["keys"]) == 2
    assert len((await operator.says("users", "list", "--json")).splitlines()) == 1
    for each in pair.programs.values():
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


async def test_what_a_client_changed_about_itself_is_never_held_against_it(pair: Replicas) -> None:
    async with pair.at(0) as one, pair.at(1) as other:
        asked = {
            "client_name": "App",
            "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code"],
            "token_endpoint_auth_method": "client_secret_basic",
        }
        registered = (await one.post("/oauth/register", json=asked)).json()
        own, secret = registered["client_id"], registered["client_secret"]
        place = registered["registration_client_uri"].removeprefix(pair.url)
        token = registered["registration_access_token"]
        update = as_sent(registered)
        moved = f"{CALLBACK}/moved"

        async def renew(**changes: Any) -> None:
            """Change the registration at one replica while the other holds it in memory as it was."""
            nonlocal token
            for _ in range(2):
                known = await other.get("/oauth/authorize", params=_request(own, update["redirect_uris"][0]))
                assert known.status_code == 200
            update.update(changes)
            token = (await one.put(place, headers=bearer(token), json=update)).json()["registration_access_token"]

        await renew(client_name="The app")
        assert (await other.get(place, headers=bearer(registered["registration_access_token"]))).status_code == 401
        assert (await other.get(place, headers=bearer(token))).status_code == 200
        await renew(token_endpoint_auth_method="client_secret_post")
        assert await _refresh(other, own, secret) == "unauthorized_client"
        await renew(redirect_uris=[moved])
        assert (await other.get("/oauth/authorize", params=_request(own, moved))).status_code == 200
        await renew(grant_types=["authorization_code", "refresh_token"])
        assert await _refresh(other, own, secret) == "invalid_grant"  # it may refresh; that token is none


def _request(client_id: str, redirect_uri: str) -> dict[str, str]:
    return {
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "response_type": "code",
        "code_challenge": Pkce.new().challenge,
        "code_challenge_method": "S256",
    }


async def _refresh(http: httpx2.AsyncClient, client_id: str, secret: str) -> str:
    """The error of a refresh with a token that is none."""
    form = {"grant_type": "refresh_token", "refresh_token": "none", "client_id": client_id, "client_secret": secret}
    found: str = (await http.post("/oauth/token", data=form)).json()["error"]
    return found
