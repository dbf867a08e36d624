"""What refreshing does to the store and to memory: commits, requests in each of them, resident memory."""

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from bench import ours
from bench.measuring import CONNECTIONS, Lane, Row
from bench.peers import Fleet, Peer
from bench.processes import free_port

REFRESH = Row("refresh with rotation", "refresh", (), 1000, {})
MIB = 2**20


async def _scraped(port: int) -> dict[str, float]:
    """Every sample of the metrics port."""
    async with httpx2.AsyncClient() as http:
        text = (await http.get(f"http://127.0.0.1:{port}/metrics")).raise_for_status().text
    return {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}


async def commits(fleet: Fleet, units: int) -> dict[str, float]:
    """Commits a second under refreshes, and how many writes and requests one of them takes along."""
    port = free_port()
    lane = Lane(await ours.ours(fleet, MCP_METRICS_PORT=str(port)), REFRESH)
    await lane.warm(units // 4)
    before = await _scraped(port)
    await lane.round(units)
    after = await _scraped(port)
    done = after["mcp_store_batch_writes_count"] - before["mcp_store_batch_writes_count"]
    writes = after["mcp_store_batch_writes_sum"] - before["mcp_store_batch_writes_sum"]
    rate = lane.cell.rate[0]
    return {
        "refreshes a second": rate,
        "commits a second": done / units * rate,
        "requests in a commit": units / done,
        "writes in a commit": writes / done,
    }


async def _list_tools(peer: Peer, era: str, units: int) -> None:
    """Calls after which a server has everything in memory that it needs for them."""
    lane = Lane(peer, Row("tools/list", "tools_list", (era,), units, {}))
    await lane.warm(units)


async def memory(fleet: Fleet, refreshes: int) -> dict[str, float]:
    """MiB resident after so many refreshes, and of a bare FastMCP server that served calls alone."""
    peer, bare = await ours.ours(fleet), await fleet.peer("fastmcp-plain")
    for one in (peer, bare):
        await _list_tools(one, "2026-07-28", 200)
    before = peer.server.resident()
    lane = Lane(peer, REFRESH)
    await lane.warm(CONNECTIONS)
    left = refreshes
    while left:
        units = min(left, 5_000)
        await lane.round(units, min(fleet.slots, CONNECTIONS * 4))
        left -= units
    found = {"bare FastMCP": bare.server.resident(), "this server, started": before}
    found["this server"] = peer.server.resident()
    told = {name: value / MIB for name, value in found.items()}
    return {**told, "refreshes": float(refreshes), "above": told["this server"] - told["bare FastMCP"]}
