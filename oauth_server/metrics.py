"""What is counted: each metric with its labels, in Prometheus' terms. Nothing is counted, or imported, before `start`.

No label holds a client id, a user name or anything else that a caller can choose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metric:
    """A metric, and its values by label once they are kept."""

    kind = ""

    def __init__(self, name: str, documentation: str, labels: tuple[str, ...] = (), **options: Any) -> None:
        self.name = name
        self.documentation = documentation
        self.labels = labels
        self._options = options
        self._family: Any = None
        self._values: dict[tuple[str, ...], Any] = {}

    def start(self, registry: CollectorRegistry) -> None:
        """Keep values from now on."""
        import prometheus_client  # noqa: PLC0415 - not before a port was asked for

        maker = getattr(prometheus_client, self.kind)
        self._family = maker(self.name, self.documentation, self.labels, registry=registry, **self._options)

    def samples(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        """Each value that is kept by now: its series, its labels, and itself."""
        for family in self._family.collect() if self._family is not None else ():
            for sample in family.samples:
                yield sample.name, sample.labels, sample.value

    def _value(self, labels: tuple[str, ...]) -> Any:
        found = self._values.get(labels)
        if found is None:
            found = self._values[labels] = self._family.labels(*labels) if labels else self._family
        return found


class Counter(Metric):
    """Something that happens, counted."""

    kind = "Counter"

    def add(self, *labels: str, by: float = 1) -> None:
        """It happened."""
        if self._family is not None:
            self._value(labels).inc(by)


class Gauge(Metric):
    """Something that has a size now."""

    kind = "Gauge"

    def set(self, value: float, *labels: str) -> None:
        """It has this size."""
        if self._family is not None:
            self._value(labels).set(value)


class Histogram(Metric):
    """Something of many sizes."""

    kind = "Histogram"

    def observe(self, value: float, *labels: str) -> None:
        """One more, of this size."""
        if self._family is not None:
            self._value(labels).observe(value)


# `route` is a path as the server knows it, with its parameters' names; "none" where nothing is served.
REQUESTS = Counter("mcp_http_requests", "Answered requests.", ("route", "method", "status"))
REQUEST_SECONDS = Histogram(
    "mcp_http_request_seconds", "From a request's head to the end of its answer.", ("route",), buckets=_SECONDS
)
REFUSALS = Counter("mcp_refusals", "Refused requests, by OAuth error code.", ("route", "error"))
TOKENS = Counter("mcp_oauth_tokens", "Answers of the token endpoint with an access token.", ("grant_type",))
EVENTS = Counter("mcp_audit_events", "Events of the audit log: logins, tokens, clients.", ("event", "outcome"))
VERBS = Counter("mcp_store_verbs", "Reads and writes asked of the database.", ("kind",))
TRANSACTION_SECONDS = Histogram(
    "mcp_store_transaction_seconds", "Transactions, their commit included.", ("kind",), buckets=_SECONDS
)
BATCH = Histogram(
    "mcp_store_batch_writes", "Writes in one commit.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)  # SQLite alone
QUEUE = Gauge("mcp_store_queue_writes", "Writes that wait for the writer.", multiprocess_mode="livesum")
UNAVAILABLE = Counter("mcp_store_unavailable", "Reads and writes that the database did not answer.", ("kind",))
# Moments, not ages: an age would stand still with the process that was to count it. "live": of the workers that run.
REVOCATIONS = Gauge("mcp_revocation_entries", "Entries of the revocation filter.", multiprocess_mode="livemax")
REFRESHED = Gauge(
    "mcp_revocation_refreshed_timestamp_seconds",
    "When the revocations were last read, in Unix time; of several workers the one that is furthest behind.",
    multiprocess_mode="livemin",
)
SIGNS_SINCE = Gauge(
    "mcp_signing_key_timestamp_seconds",
    "Since when the present key signs, in Unix time.",
    ("use",),
    multiprocess_mode="livemin",
)

METRICS: Final[tuple[Metric, ...]] = tuple(found for found in list(globals().values()) if isinstance(found, Metric))
_registries: list[CollectorRegistry] = []


def started() -> bool:
    """Whether this process counts."""
    return bool(_registries)


def start() -> CollectorRegistry:
    """Begin to count in this process; the registry with every metric, the same one each time."""
    if not _registries:
        from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics  # noqa: PLC0415

        untyped: Any = disable_created_metrics
        untyped()  # a second series for each counter, which few read
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # memory, CPU seconds, open files
        for metric in METRICS:
            metric.start(registry)
        _registries.append(registry)
    return _registries[0]
