"""Rounds of load on several servers in turns, and what each of them cost."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from bench.load import WrongAnswerError, drive
from bench.peers import Fleet, Peer
from bench.processes import UnmeasurableError
from bench.workloads import Wanted

CONNECTIONS = 16


@dataclass(frozen=True)
class Row:
    """One kind of work: `units` of it in a round, of `work` with `given`.

    `columns`: by column the server that does it; one written `server:work` does this other work beside it.
    """

    name: str
    work: str
    given: tuple[str, ...]
    units: int
    columns: dict[str, str]


@dataclass
class Cell:
    """What one server did of a row: by round CPU milliseconds of a unit and units a second; milliseconds of each."""

    cpu_ms: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    own: float = 0.0  # the largest share of a core that the generator took
    missing: str = ""  # why nothing was measured

    def add(self, *at_once: "Cell") -> None:
        """Take in a round of servers that did the same work at the same time."""
        self.cpu_ms.append(statistics.mean(cell.cpu_ms[-1] for cell in at_once))
        self.rate.append(sum(cell.rate[-1] for cell in at_once))
        for cell in at_once:
            self.took += cell.took
        self.own = max(self.own, *(cell.own for cell in at_once))

    def told(self) -> dict[str, Any]:
        """The figures as JSON."""
        if self.missing:
            return {"missing": self.missing}
        took = sorted(self.took)
        return {
            "cpu_ms": [round(value, 4) for value in self.cpu_ms],
            "cpu_ms_median": round(statistics.median(self.cpu_ms), 4),
            "rate_median": round(statistics.median(self.rate), 1),
            "p50_ms": round(percentile(took, 0.5), 3),
            "p99_ms": round(percentile(took, 0.99), 3),
            "generator_share": round(self.own, 3),
        }


def percentile(took: Sequence[float], share: float) -> float:
    """The value below which this share of the sorted values lies."""
    return took[min(len(took) - 1, int(len(took) * share))]


class Lane:
    """One server at one kind of work."""

    def __init__(self, peer: Peer, row: Row, instead: str = "") -> None:
        self.peer, self.row = peer, row
        self.wanted = Wanted(peer)
        self.work = getattr(self.wanted, instead or row.work)(*row.given)
        self.keys: Any = None
        self.cell = Cell()

    async def warm(self, units: int, connections: int = CONNECTIONS) -> None:
        """Do so many units that nobody measures."""
        if self.peer.signed:
            async with httpx2.AsyncClient() as http:
                self.keys = (await http.get(f"{self.peer.url}{self.peer.paths.jwks}")).json()
        await self._drive(units, connections)

    async def round(self, units: int, connections: int = CONNECTIONS) -> None:
        """Do so many units, and note what they cost."""
        before = self.peer.server.cpu()
        load = await self._drive(units, connections)
        used = self.peer.server.cpu() - before
        cell = self.cell
        cell.cpu_ms.append(used / units * 1000)
        cell.rate.append(units / load.wall)
        cell.took += [seconds * 1000 for seconds in load.took]
        cell.own = max(cell.own, load.own / load.wall)

    async def _drive(self, units: int, connections: int) -> Any:
        try:
            load = await drive(self.peer.server.port, self.work, units, connections)
            self.wanted.verify(self.keys)
        except WrongAnswerError as error:
            raise WrongAnswerError(f"{self.peer.server.name}, {self.row.name}: {error}") from None
        return load


async def measure(fleet: Fleet, row: Row, rounds: int, share: float = 1.0) -> dict[str, Any]:
    """All columns of a row in turns, each round beginning with another one; `share` of the units in each."""
    units = max(CONNECTIONS, int(row.units * share))
    lanes: dict[str, Lane] = {}
    cells: dict[str, Cell] = {}
    for column, name in row.columns.items():
        try:
            server, _, instead = name.partition(":")
            lanes[column] = Lane(await fleet.peer(server), row, instead)
        except UnmeasurableError as error:
            cells[column] = Cell(missing=str(error))
        else:
            cells[column] = lanes[column].cell
            await lanes[column].warm(int(lanes[column].peer.warm * share))
    order = list(lanes)
    for number in range(rounds):
        turn = number % len(order)
        for column in order[turn:] + order[:turn]:
            await lanes[column].round(units)
    found = {column: cell.told() for column, cell in cells.items()}
    return {"name": row.name, "units": units, "rounds": rounds, "columns": found}
