"""A JSON document that a server publishes, or why it cannot be read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from oauth_server.compliance.model import Exchange, Missing
from oauth_server.outbound import OutboundError

OK: Final = 200


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON document: its members, or the problem that kept them from being read; no exchange: no answer at all."""

    url: str
    exchange: Exchange | None
    members: Mapping[str, Any]
    problem: str

    @property
    def shown(self) -> Exchange:
        """The exchange, for evidence; Missing when there was no answer."""
        if self.exchange is None:
            raise Missing(f"{self.url}: {self.problem}")
        return self.exchange


def reason(documents: Iterable[Document]) -> str:
    """Say why none of these places has a document, empty when one has; OutboundError when none answered at all."""
    tried = list(documents)
    problem = "; ".join(f"{document.url}: {document.problem}" for document in tried)
    if not any(document.exchange for document in tried):
        raise OutboundError(problem)
    return problem if all(document.problem for document in tried) else ""


def document_of(url: str, outcome: Exchange | OutboundError) -> Document:
    """Read an answer as a JSON object; whatever goes wrong stands in its `problem`."""
    if isinstance(outcome, OutboundError):
        return Document(url, None, {}, outcome.reason)
    if outcome.answer.status != OK:
        return Document(url, outcome, {}, f"it answers {outcome.answer.status}")
    try:
        value = outcome.answer.json()
    except ValueError as error:
        return Document(url, outcome, {}, f"it is not JSON ({error})")
    if not isinstance(value, dict):
        return Document(url, outcome, {}, "it is JSON, but not an object")
    return Document(url, outcome, value, "")
