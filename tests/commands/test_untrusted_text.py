"""Commands show what anonymous registrants wrote as one short line, marked: an operator's assistant reads it too."""

import json

import pytest

from tests.commands.conftest import Shell
from tests.support.server import Running
from tests.support.untrusted import HOSTILE, MARKED, PROSE, check, check_record, register

hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)


@hostile
@pytest.mark.requirement("attack-20")
async def test_commands_show_what_registrants_wrote_as_one_short_marked_line(
    server: Running, shell: Shell, text: str
) -> None:
    client_id = await register(server, text)
    (line,) = (line for line in (await shell.says("clients", "list")).splitlines() if client_id in line)
    check(MARKED.findall(line)[0], text)
    one = await shell.says("clients", "show", client_id)
    for name in (*PROSE, "contacts"):
        (line,) = (line for line in one.splitlines() if line.startswith(f"{name} "))
        check(line.partition(name)[2].strip(), text)
    check_record(json.loads(await shell.says("clients", "show", client_id, "--json")), text)
    (line,) = (line for line in (await shell.says("clients", "list", "--json")).splitlines() if client_id in line)
    check_record(json.loads(line), text)
    event = json.loads(await shell.says("audit", "--client", client_id, "--json"))
    check(event["detail"], text)
    said = await shell.says("clients", "delete", client_id, "--yes")
    check(MARKED.findall(said)[0], text)
    assert len(said.splitlines()) == 1
    last = json.loads((await shell.says("audit", "--json")).splitlines()[-1])
    assert last["detail"].endswith("; grants revoked: 0")
    check(last["detail"].removesuffix("; grants revoked: 0"), text)
