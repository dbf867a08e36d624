"""What starting imports and opens: nothing that is not needed yet."""

import json
import sys
from pathlib import Path

from tests.support.program import ROOT, environment, run

HELP = """
import json, sys
sys.argv = ["server.py", *sys.argv[1:]]
import server
try:
    server.main()
except SystemExit as end:
    status = end.code
heavy = sorted(n for n in ("fastmcp", "sqlalchemy", "alembic", "mcp", "uvicorn") if n in sys.modules)
print(json.dumps([status or 0, heavy]))
"""

OPENED = """
import json, sys
opened = []
def watch(event, args):
    if event in ("open", "os.mkdir", "sqlite3.connect", "socket.bind", "socket.connect"):
        if event != "open" or (isinstance(args[0], str) and isinstance(args[2], int) and args[2] & 3):
            opened.append([event, str(args[0])])
sys.addaudithook(watch)
import server
before = [n for n in ("fastmcp", "sqlalchemy", "oauth_server") if n in sys.modules]
from fastmcp import FastMCP
kind = isinstance(server.mcp, FastMCP)
same = server.mcp is server.mcp
print(json.dumps([before, kind, same, [o for o in opened if not o[1].endswith((".pyc", "__pycache__", "/dev/null")) and ".pyc." not in o[1]]]))
"""


STARTED = """
import asyncio, gc, json, sys
from oauth_server.app.mcp_server import McpServer
async def look(mcp):
    tools = len(await mcp.list_tools())
    heavy = sorted(n for n in WAITS if n in sys.modules)
    print(json.dumps([tools, heavy, gc.isenabled(), gc.get_freeze_count() > 100_000]))
    mcp.stop()
tasks = []
McpServer._greet = lambda mcp: tasks.append(asyncio.get_running_loop().create_task(look(mcp)))
sys.argv = ["server.py", "--port", "0"]
import server
server.main()
"""
# What few processes need, or none soon: it would be the longer part of a start.
WAITS = (
    "alembic",  # a migration
    "authlib",  # FastMCP's own client
    "griffe",  # FastMCP reads docstrings with it
    "jinja2",  # a page
    "jsonref",  # FastMCP resolves references in schemas with it
    "oauth_server.compliance",  # a check
    "opentelemetry.sdk",
    "prometheus_client",
    "requests",
    "sqlalchemy.dialects.postgresql",  # the other engine
)


async def test_help_and_version_import_neither_fastmcp_nor_sqlalchemy(tmp_path: Path) -> None:
    for option in ("--help", "--version"):
        ended = await run(sys.executable, "-c", HELP, option, env=environment(tmp_path, PYTHONPATH=str(ROOT)))
        assert json.loads(ended.out.splitlines()[-1]) == [0, []], ended.err


async def test_importing_server_opens_nothing_and_mcp_is_a_fastmcp_server(tmp_path: Path) -> None:
    ended = await run(sys.executable, "-c", OPENED, env=environment(tmp_path, PYTHONPATH=str(ROOT)))
    assert ended.status == 0, ended.err
    assert json.loads(ended.out) == [[], True, True, []]
    assert ended.err == ""
    assert [*tmp_path.iterdir()] == []  # noqa: ASYNC240 - a look at an empty folder


async def test_a_name_that_server_does_not_have_is_an_attribute_error(tmp_path: Path) -> None:
    script = "import server\ntry:\n    server.nothing\nexcept AttributeError as error:\n    print(error)"
    ended = await run(sys.executable, "-c", script, env=environment(tmp_path, PYTHONPATH=str(ROOT)))
    assert (ended.out.strip(), ended.err) == ("nothing", "")


async def test_a_start_on_an_existing_store_loads_nothing_that_can_wait(tmp_path: Path) -> None:
    script = f"WAITS = {WAITS}{STARTED}"
    for _ in range(2):
        ended = await run(sys.executable, "-c", script, env=environment(tmp_path, PYTHONPATH=str(ROOT)))
        assert ended.status == 0, ended.err
    assert json.loads(ended.out) == [6, [], True, True]
