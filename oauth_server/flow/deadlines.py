"""When a request is to be answered at the latest: one timer for all, since one for each costs a tenth of a request.

It ends a request as asyncio.timeout does: the task is cancelled, and whoever caught that says so.
"""

import asyncio
from weakref import WeakKeyDictionary

_Task = asyncio.Task[object]


class Deadlines:
    """The tasks of one event loop that are to end in time, the first one first; times are those of the loop."""

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


class Deadline:
    """That of the present task: so many seconds from `begin` on."""

    __slots__ = ("_all", "_seconds", "_task")

    def __init__(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in one
        self._all, self._task, self._seconds = deadlines(), task, seconds

    def begin(self) -> None:
        """Let the time begin, anew where it was over in part."""
        self._all.begin(self._task, self._seconds)

    def pause(self) -> None:
        """Let time pass that does not count."""
        self._all.pause(self._task)

    def end(self) -> bool:
        """The task is done with it; whether it was cancelled for being late, and for nothing else."""
        return self._all.end(self._task)


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Deadlines] = WeakKeyDictionary()


def deadlines() -> Deadlines:
    """Those of the running loop."""
    loop = asyncio.get_running_loop()
    found = _of_loop.get(loop)
    if found is None:
        found = _of_loop[loop] = Deadlines(loop)
    return found
