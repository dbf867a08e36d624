"""Where the time of this server goes at one kind of work: a flame graph of its process by py-spy."""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from bench.measuring import Lane, Row
from bench.peers import Fleet
from bench.processes import UnmeasurableError
from bench.rows import US

PY_SPY = Path(sys.executable).with_name("py-spy")
SECONDS = 10
RATE = 500  # samples a second


async def profile(
    new_fleet: Callable[[], AbstractAsyncContextManager[Fleet]], row: Row, say: Callable[[str], None]
) -> dict[str, Any]:
    """Load the server for SECONDS, and write the graph to the temporary folder."""
    if not PY_SPY.exists():
        raise UnmeasurableError("py-spy is not installed: uv run --group bench bench/run.py --profile …")
    if US not in row.columns:
        raise UnmeasurableError(f"{row.name} is not asked of this server")
    name = "".join(one if one.isalnum() else "-" for one in row.name)
    graph = Path(tempfile.gettempdir()) / f"profile-{name}.svg"
    async with new_fleet() as servers:
        lane = Lane(await servers.peer(row.columns[US]), row)
        await lane.warm(row.units)
        options = ("--pid", str(lane.peer.server.process.pid), "--duration", str(SECONDS), "--rate", str(RATE))
        recorder = await asyncio.create_subprocess_exec(
            *(str(PY_SPY), "record", *options, "--threads", "--output", str(graph)), stderr=subprocess.PIPE
        )
        ended = asyncio.ensure_future(recorder.communicate())
        while not ended.done():
            await lane.round(row.units)
        _, said = await ended
    if recorder.returncode != 0:
        raise UnmeasurableError(f"py-spy: {said.decode().strip()[-300:]}")
    told = lane.cell.told()
    say(f"{row.name}: {told['cpu_ms_median']} ms of CPU while it was looked at; {graph}")
    return {"profile": str(graph), **told}
