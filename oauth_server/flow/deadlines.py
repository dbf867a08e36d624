"""When a request is to be answered at the latest: one timer for all, since one for each costs a tenth of a request.

It ends a request as asyncio.timeout does: the task is cancelled, and whoever caught that says so.
"""

import asyncio
from weakref import WeakKeyDictionary

_Task = asyncio.Task[object]


class Deadlines:
    """The requests of one event loop that are being answered, the oldest first; times are those of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._until: dict[_Task, float] = {}
        self._overdue: set[_Task] = set()
        self._watching = False

    def begin(self, task: _Task, seconds: float) -> None:
        """Give a task so many seconds, the same for all."""
        self._until[task] = self._loop.time() + seconds
        if not self._watching:
            self._watching = True
            self._loop.call_later(seconds, self._watch)

    def pause(self, task: _Task) -> None:
        """Let time pass that does not count, until the task begins anew."""
        self._until.pop(task, None)

    def end(self, task: _Task) -> bool:
        """The task is done with it; whether it was cancelled for being late, and for nothing else."""
        self._until.pop(task, None)
        if task not in self._overdue:
            return False
        self._overdue.discard(task)
        return task.uncancel() == 0

    def _watch(self) -> None:
        now = self._loop.time()
        while self._until:
            task, until = next(iter(self._until.items()))
            if until > now:
                self._loop.call_at(until, self._watch)
                return
            del self._until[task]
            self._overdue.add(task)
            task.cancel()
        self._watching = False


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Deadlines] = WeakKeyDictionary()


def deadlines() -> Deadlines:
    """Those of the running loop."""
    loop = asyncio.get_running_loop()
    found = _of_loop.get(loop)
    if found is None:
        found = _of_loop[loop] = Deadlines(loop)
    return found
