"""How `check` writes its report: the format, the place, what fails the run, and what it is compared with."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from oauth_server.commands.check_consent import why
from oauth_server.commands.errors import MistakeError
from oauth_server.commands.output import remark

if TYPE_CHECKING:
    from oauth_server.compliance import Report
    from oauth_server.compliance.reports import Format
    from oauth_server.compliance.reports.baseline import Baseline


@dataclass(frozen=True)
class Output:
    """The options."""

    format: Annotated[
        Literal["text", "json", "junit", "sarif", "markdown", "html"], Parameter(help="How the report is written.")
    ] = "text"
    json: Annotated[bool, Parameter(help="The same as --format json.", show_default=False)] = False
    output: Annotated[str | None, Parameter(help="The file to write the report to, instead of stdout.")] = None
    fail_on: Annotated[
        Literal["must", "should"], Parameter(help="The least level that must be kept for exit status 0.")
    ] = "must"
    baseline: Annotated[
        str | None, Parameter(help="An earlier JSON report: tells what changed; only what is new fails the run.")
    ] = None

    @property
    def form(self) -> Format:
        """The format; MistakeError when two are asked for."""
        if self.json and self.format not in {"text", "json"}:
            raise MistakeError(f"--json and --format {self.format}: a report has one format.")
        return "json" if self.json else self.format

    def prepare(self) -> Baseline | None:
        """Read the baseline, and find what would keep the report from being written before the run, not after it."""
        _ = self.form
        if self.output is not None:
            path = Path(self.output)
            there = path if path.exists() else path.parent
            if path.is_dir() or not there.exists() or not os.access(there, os.W_OK):
                raise MistakeError(f"--output: {self.output} cannot be written.")
        return _baseline(self.baseline) if self.baseline is not None else None

    def write(self, report: Report, before: Baseline | None) -> bool:
        """Write the report; whether anything in it fails the run."""
        from oauth_server.compliance.reports import render  # noqa: PLC0415
        from oauth_server.compliance.reports.assessment import Assessment  # noqa: PLC0415
        from oauth_server.compliance.reports.baseline import compare  # noqa: PLC0415

        changes = compare(report, before) if before else None
        assessment = Assessment(report, self.fail_on, changes)
        if self.output is None:
            terminal = sys.stdout.isatty()
            width = shutil.get_terminal_size().columns if terminal else 0
            # https://no-color.org: set and not empty
            colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
            sys.stdout.write(render(self.form, assessment, width=width, colour=colour))
        else:
            try:
                Path(self.output).write_text(render(self.form, assessment), encoding="utf-8")
            except OSError as error:
                raise MistakeError(f"--output: {self.output} cannot be written ({why(error)}).") from None
            remark(f"{self.output}: {assessment.verdict}")
        for note in changes.notes if changes else ():
            remark(note)
        return bool(assessment.failing)


def _baseline(path: str) -> Baseline:
    from oauth_server.compliance.reports import baseline  # noqa: PLC0415

    try:
        with Path(path).open("rb") as file:
            return baseline.read(file.read(baseline.MOST_BYTES + 1))
    except OSError as error:
        raise MistakeError(f"--baseline: {path} cannot be read ({why(error)}).") from None
    except ValueError as error:
        raise MistakeError(f"--baseline: {path} is no baseline: {error}.") from None
