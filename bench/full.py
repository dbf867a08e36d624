"""What takes long: more connections, more workers, larger stores, on both engines."""

import asyncio
import statistics
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from bench import ours
from bench.measuring import CONNECTIONS, Cell, Lane, Row
from bench.peers import Fleet
from bench.rows import MEMORY, OIDC, US
from tests.support.postgres import postgres_server

SWEEP = (1, 2, 4, 8, 16, 32, 64)
REFRESH = Row("refresh with rotation", "refresh", (), 800, {})
# A process for each number of connections: oidc-provider's store forgets whoever did not ask lately, and this server
# bounds how often a client may ask in a minute.
REFRESHING = {US: "ours/{}", MEMORY: "fastmcp-oauth", OIDC: "oidc/{}"}
WORKS = (
    REFRESH,
    Row("introspection", "introspect", (), 800, {}),
    Row("tools/call, 2026-07-28", "tools_call", ("2026-07-28",), 300, {}),
)
# Controls: what two workers cost where they have nothing in common but the machine and its disk.
BESIDE = (
    (WORKS[-1], "fastmcp/{}", "two bare FastMCP servers"),
    (REFRESH, "ours/{}", "two of this server, each with a store of its own"),
)
ENGINES = ("sqlite", "postgresql")
# Up to the size that the issue asks for: clients, refresh tokens, revocations.
SIZES = ((10_000, 50_000, 10_000), (100_000, 500_000, 100_000), (1_000_000, 5_000_000, 1_000_000))
Say = Callable[[str], None]
NewFleet = Callable[[], AbstractAsyncContextManager[Fleet]]


async def sweep(fleet: Fleet, rounds: int, say: Say) -> list[dict[str, Any]]:
    """Refreshes over ever more connections: a row for each number of them and each server."""
    found = []
    for column, name in REFRESHING.items():
        for connections in SWEEP:
            lane = Lane(await fleet.peer(name.format(connections)), REFRESH)
            await lane.warm(lane.peer.warm, connections)
            for _ in range(rounds):
                await lane.round(REFRESH.units, connections)
            told = lane.cell.told()
            found.append({"server": column, "connections": connections, **told})
            say(f"  {column}, {connections} connections: {told['rate_median']:.0f}/s, p99 {told['p99_ms']:.1f} ms")
    return found


async def workers(new_fleet: NewFleet, rounds: int, say: Say) -> list[dict[str, Any]]:
    """CPU of one and of two workers, in turns, on both engines."""
    found = []
    for engine in ENGINES:
        async with AsyncExitStack() as stack:
            env: list[dict[str, str]] = [{}, {}]
            if engine == "postgresql":
                server = stack.enter_context(postgres_server(durable=True))
                env = [{"MCP_OAUTH_DATABASE_URL": stack.enter_context(server.database())} for _ in env]
            fleet = await stack.enter_async_context(new_fleet())
            peers = [await ours.ours(fleet, MCP_WORKERS=str(number + 1), **values) for number, values in enumerate(env)]
            for row in WORKS:
                lanes = [Lane(peer, row) for peer in peers]
                for lane in lanes:
                    await lane.warm(row.units)
                for _ in range(rounds):
                    for lane in lanes:
                        await lane.round(row.units)
                one, two = (lane.cell for lane in lanes)
                ratio = statistics.median(b / a for a, b in zip(one.cpu_ms, two.cpu_ms, strict=True))
                told = {"engine": engine, "work": row.name, "one": one.told(), "two": two.told(), "ratio": ratio}
                found.append(told)
                say(f"  {engine}, {row.name}: two workers take {ratio:.3f} of the CPU of one")
    for row, name, what in BESIDE:
        async with new_fleet() as servers:
            found.append(await _beside(servers, rounds, row, name, what))
        say(f"  {found[-1]['work']}: two take {found[-1]['ratio']:.3f} of the CPU of one")
    return found


async def _beside(fleet: Fleet, rounds: int, row: Row, name: str, what: str) -> dict[str, Any]:
    """What the machine costs two servers that share nothing: one of them alone, then both at once."""
    pair = [Lane(await fleet.peer(name.format(number)), row) for number in range(2)]
    alone, both = Cell(), Cell()
    for lane in pair:
        await lane.warm(row.units)
    for _ in range(rounds):
        for lane in pair:
            lane.cell = Cell()
        await pair[0].round(row.units)
        alone.add(pair[0].cell)
        for lane in pair:
            lane.cell = Cell()
        await asyncio.gather(*(lane.round(row.units, CONNECTIONS // 2) for lane in pair))
        both.add(*(lane.cell for lane in pair))
    ratio = statistics.median(b / a for a, b in zip(alone.cpu_ms, both.cpu_ms, strict=True))
    return {
        "engine": "none",
        "work": f"{row.name}, {what}",
        "one": alone.told(),
        "two": both.told(),
        "ratio": ratio,
        "control": True,
    }


async def growth(say: Say) -> list[dict[str, Any]]:
    """Cost against the size of the store, as bench/growth.py measures it."""
    if find_spec("bench.growth") is None:
        return []
    measure = import_module("bench.growth").measure
    found: list[dict[str, Any]] = []
    for engine in ENGINES:
        for clients, refresh_tokens, revocations in SIZES:
            found += await measure(engine, clients, refresh_tokens, revocations)
            say(f"  {engine}, {clients:,} clients: {[round(row['cpu_ratio'], 2) for row in found[-3:]]}")
    return found
