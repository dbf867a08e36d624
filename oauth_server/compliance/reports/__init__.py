"""How a report is written: one module for each format."""

import json
from collections.abc import Callable, Mapping
from typing import Final, Literal

from oauth_server.compliance.reports import junit, markdown, sarif, structured, text
from oauth_server.compliance.reports.assessment import Assessment

Format = Literal["text", "json", "junit", "sarif", "markdown", "html"]


def render(form: Format, assessment: Assessment, *, width: int = 0, colour: bool = False) -> str:
    """Return the report in one of the formats; `width` and `colour` are for text alone."""
    if form == "text":
        return text.render(assessment, width=width, colour=colour)
    return _WRITERS[form](assessment)


def _json(assessment: Assessment) -> str:
    return json.dumps(structured.as_dict(assessment)) + "\n"


def _html(assessment: Assessment) -> str:
    from oauth_server.compliance.reports import page  # noqa: PLC0415 - nothing else needs the template engine

    return page.render(assessment)


_WRITERS: Final[Mapping[str, Callable[[Assessment], str]]] = {
    "json": _json,
    "junit": junit.render,
    "sarif": sarif.render,
    "markdown": markdown.render,
    "html": _html,
}
