"""A process that SIGTERM ends, or does not; it imports nothing, so that it is there at once."""

import signal
import time
from multiprocessing.synchronize import Event


def wait(ready: Event, on_sigterm: int) -> None:
    """Say that the handler is in place, and wait."""
    signal.signal(signal.SIGTERM, on_sigterm)
    ready.set()
    time.sleep(60)
