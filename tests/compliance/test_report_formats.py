"""Reports in each format: what a reader of the format needs is there, and no server's text breaks out of it."""

import base64
import hashlib
import json
import re
import unicodedata
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from oauth_server.compliance import CHECKS, Report
from oauth_server.compliance.reports import baseline, render, text
from oauth_server.compliance.reports.assessment import Assessment, FailOn
from tests.support.reports import HOSTILE, JUDGED, report, with_statuses

ESCAPE = re.compile(r"\x1b\[[\d;]+m")
SOURCES = {source.url for check in CHECKS for source in check.sources}
CONTROL = {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"}
VOID = {"meta", "circle", "rect"}


def assessed(said: str = "what a server said", fail_on: FailOn = "must") -> Assessment:
    """A report with changes since a baseline, hostile titles in it included."""
    found = report(said, target=f"https://mcp.example/{said}")
    before = with_statuses(prm_found="fail").as_dict()
    before["checks"].append({"id": "gone-check", "title": said, "status": "fail"})
    before["started_at"] = "2026-09-21T14:13:20+00:00"
    return Assessment(found, fail_on, baseline.compare(found, baseline.read(json.dumps(before).encode())))


def controls(rendered: str) -> set[str]:
    """The kinds of characters that a reader does not see."""
    return {unicodedata.category(char) for char in rendered if char != "\n"} & CONTROL


# Text


def test_the_score_stands_at_the_top_and_the_outcome_at_the_end() -> None:
    found = with_statuses(asm_pkce_s256="fail", cors_discovery="warn", prm_found="error", token_get="skip")
    lines = text.render(Assessment(found)).splitlines()
    musts = sum(check.levels["2026-07-28"] == "MUST" and check.role == "authorization server" for check in JUDGED)
    assert lines[0] == found.target
    assert lines[1].endswith(f"{len(JUDGED) - 4} pass, 1 skip, 1 error, 1 warn, 1 fail")
    assert lines[3].split() == ["MUST", "SHOULD", "advice"]
    assert lines[4].split()[:3] == ["authorization", "server", f"{musts - 1}/{musts}"]
    assert lines[-1] == "Failed: prm-found, asm-pkce-s256."
    marks = [line.split()[0] for line in lines if re.match("(FAIL|WARN|ERROR|SKIP|PASS) ", line)]
    assert marks[:4] == ["FAIL", "WARN", "ERROR", "SKIP"]
    assert set(marks[4:]) == {"PASS"}
    families = [line for number, line in enumerate(lines[6:-1], 6) if line and not lines[number - 1]]
    assert families[:4] == ["authorization server metadata", "CORS", "protected resource metadata", "token endpoint"]


def test_lines_are_broken_at_the_width_of_a_terminal_but_for_what_has_no_blank() -> None:
    for width in (1, 60, 100):
        for line in ESCAPE.sub("", text.render(assessed("a sentence " * 30), width=width, colour=True)).splitlines():
            assert len(line) <= max(width, text.NARROWEST) or len(max(line.split(), key=len)) > 20, (width, line)
    found = assessed()
    assert text.render(found, width=1) == text.render(found, width=text.NARROWEST)
    urls = {result.check.sources[0].url for result in found.of("fail", "warn")}
    assert all(url in text.render(found, width=60) for url in urls)


def test_colours_are_only_there_when_asked_for() -> None:
    plain, coloured = text.render(assessed()), text.render(assessed(), colour=True)
    assert "\x1b" not in plain
    assert ESCAPE.sub("", coloured) == plain
    assert "\x1b[1;31mFAIL \x1b[0m MUST" in coloured


@pytest.mark.parametrize("said", HOSTILE)
def test_text_has_no_control_characters_but_its_own(said: str) -> None:
    found = ESCAPE.sub("", text.render(assessed(said), width=80, colour=True))
    assert controls(found) == set()
    assert not [line for line in found.splitlines() if line.startswith(("PASS everything", "# PASS"))]


# JUnit


def parsed(document: str) -> ET.Element:
    return ET.fromstring(document)  # noqa: S314 - our own


def cases(document: ET.Element) -> dict[str, ET.Element]:
    return {case.attrib["name"].partition(":")[0]: case for case in document.iter("testcase")}


@pytest.mark.parametrize("said", HOSTILE)
def test_junit_is_well_formed_and_its_counts_are_true(said: str) -> None:
    assessment = assessed(said)
    document = parsed(render("junit", assessment))
    assert document.tag == "testsuites"
    assert [suite.attrib["name"] for suite in document] == list(dict.fromkeys(check.family for check in JUDGED))
    for holder in (document, *document):
        found = list(holder.iter("testcase"))
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(holder.attrib[name]) == sum(case.find(tag) is not None for case in found)
        assert int(holder.attrib["tests"]) == len(found)
    assert set(cases(document)) == {check.id for check in JUDGED}
    assert controls(render("junit", assessment)) == set()


@pytest.mark.parametrize("fail_on", ["must", "should"])
def test_junit_fails_what_the_exit_status_counts(fail_on: FailOn) -> None:
    found = with_statuses(asm_pkce_s256="fail", asm_grant_types="warn", prm_found="error", cors_discovery="warn")
    document = cases(parsed(render("junit", Assessment(found, fail_on))))
    kinds = {name: [child.tag for child in case] for name, case in document.items() if len(case)}
    warned = ["failure"] if fail_on == "should" else ["system-out"]
    assert kinds == {
        "asm-pkce-s256": ["failure"],
        "asm-grant-types": warned,
        "prm-found": ["error"],
        "cors-discovery": ["system-out"],
    }
    known = baseline.compare(found, baseline.read(json.dumps(found.as_dict()).encode()))
    document = cases(parsed(render("junit", Assessment(found, fail_on, known))))
    assert {name for name, case in document.items() if case.find("skipped") is not None} == kinds.keys()


# SARIF


def run_of(assessment: Assessment) -> dict[str, Any]:
    log = json.loads(render("sarif", assessment))
    assert set(log) == {"$schema", "version", "runs"}
    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
    found: dict[str, Any] = log["runs"][0]
    return found


@pytest.mark.parametrize("said", HOSTILE)
def test_sarif_keeps_to_the_structure_of_its_standard(said: str) -> None:
    run = run_of(assessed(said))
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [check.id for check in JUDGED]
    for rule in rules:
        assert rule["helpUri"] in SOURCES
        assert rule["shortDescription"]["text"]
        assert rule["help"]["text"]
        assert rule["defaultConfiguration"]["level"] in {"error", "warning", "note"}
    for result in run["results"]:
        rule = rules[result["ruleIndex"]]
        assert rule["id"] == result["ruleId"]
        assert result["level"] == rule["defaultConfiguration"]["level"]
        assert result["baselineState"] in {"new", "unchanged"}
        (location,) = result["locations"]
        uri = location["physicalLocation"]["artifactLocation"]["uri"]
        assert re.fullmatch(r"[A-Za-z0-9\-._~:/?#@!$&'()*+,;=%]+", uri)
        assert not re.search("%(?![0-9A-F]{2})", uri)
        assert uri == "about:blank" or urlsplit(uri).hostname == "mcp.example"
        assert not re.search(r"(?<!\\)[\[\]]", result["message"]["text"])
        assert not re.search(r"(?<!\{)\{(?:\{\{)*(?!\{)", result["message"]["text"])
    fingerprints = [json.dumps(result["partialFingerprints"]) for result in run["results"]]
    assert len(set(fingerprints)) == len(fingerprints)
    notified = run["invocations"][0]["toolExecutionNotifications"]
    assert {rules[item["associatedRule"]["index"]]["id"] for item in notified} == {
        result.check.id for result in report().checks if result.status == "error"
    }
    assert run["invocations"][0]["executionSuccessful"] is False


def test_sarif_names_a_url_as_standards_spell_it() -> None:
    run = run_of(Assessment(report("/100%/[x]?a=%20<b>")))
    uris = {result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in run["results"]}
    assert uris == {"https://mcp.example/mcp/100%25/%5Bx%5D?a=%20%3Cb%3E"}
    run = run_of(Assessment(report("", target="http://[::1]:8000/mcp")))
    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "http://[::1]:8000/mcp"


def test_sarif_tells_a_failure_from_a_warning_and_from_advice() -> None:
    found = with_statuses(asm_pkce_s256="fail", asm_grant_types="warn", cors_discovery="warn")
    run = run_of(Assessment(found))
    assert {result["ruleId"]: result["level"] for result in run["results"]} == {
        "asm-pkce-s256": "error",
        "asm-grant-types": "warning",
        "cors-discovery": "note",
    }
    assert run["invocations"][0]["executionSuccessful"] is True
    assert "baselineState" not in run["results"][0]
    known = Assessment(found, changes=baseline.compare(found, baseline.read(json.dumps(found.as_dict()).encode())))
    assert {result["baselineState"] for result in run_of(known)["results"]} == {"unchanged"}
    fix = next(check.fix for check in JUDGED if check.id == "asm-pkce-s256")
    assert run["results"][0]["properties"]["fix"] == fix


# Markdown


def blocks(rendered: str) -> list[Token]:
    return MarkdownIt("commonmark", {"html": True}).enable("table").parse(rendered)


@pytest.mark.parametrize("said", HOSTILE)
def test_markdown_shows_what_a_server_said_as_code_alone(said: str) -> None:
    rendered = render("markdown", assessed(f"{said}h0stile{said}"))
    assert controls(rendered) == set()
    tokens = blocks(rendered)
    tokens += [inner for token in tokens for inner in token.children or []]
    assert not {token.type for token in tokens} & {"html_block", "html_inline", "image"}
    assert {token.attrs["href"] for token in tokens if token.type == "link_open"} <= SOURCES
    assert {token.type for token in tokens if "h0stile" in token.content} - {"inline"} == {"code_inline", "fence"}


@pytest.mark.parametrize("said", HOSTILE)
def test_markdown_has_the_same_blocks_and_cells_whatever_a_server_says(said: str) -> None:
    rendered, expected = render("markdown", assessed(said or ".")), render("markdown", assessed("."))
    assert [token.type for token in blocks(rendered)] == [token.type for token in blocks(expected)]
    # Readers do not agree on a pipe after a backslash, so there is none but between cells.
    shape = [[line.count("|") for line in page.splitlines() if line.startswith("|")] for page in (rendered, expected)]
    assert shape[0] == shape[1]


def test_markdown_names_failures_first_with_their_fix_and_sources() -> None:
    rendered = render("markdown", Assessment(with_statuses(asm_pkce_s256="fail", prm_found="skip")))
    headings = [line for line in rendered.splitlines() if line.startswith("#")]
    assert headings == [
        "# OAuth of `https://mcp.example/mcp`",
        "## Failed: 1",
        "### Authorization server metadata",
        "#### PKCE with S256 is advertised",
        "## Everything else",
    ]
    assert "**Fix:** Set code\\_challenge\\_methods\\_supported" in rendered
    assert "| skip | MUST | `prm-found` |" in rendered


# HTML


class Elements(HTMLParser):
    """The elements of a page with the names of their attributes, and its text; asserts that tags are balanced."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(tag, tuple(attrs)) for tag, attrs in self.elements]


@pytest.mark.parametrize("said", HOSTILE)
def test_html_has_the_same_elements_whatever_a_server_says(said: str) -> None:
    rendered = render("html", assessed(said or "."))
    page = Elements(rendered)
    assert page.shape == Elements(render("html", assessed())).shape
    assert controls(rendered) == set()
    assert {attrs["href"] for tag, attrs in page.elements if tag == "a"} <= SOURCES
    assert not [attrs for _, attrs in page.elements if any(name.startswith("on") or name == "style" for name in attrs)]


def test_html_is_one_file_whose_policy_lets_in_nothing_but_its_own_style() -> None:
    rendered = render("html", assessed())
    page = Elements(rendered)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "img", "link", "iframe", "form", "input", "object", "embed", "base", "video"}
    style = rendered.partition("<style>")[2].partition("</style>")[0]
    assert not re.search(r"url\(|@import|expression", style)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = (attrs["content"] for tag, attrs in page.elements if attrs.get("http-equiv"))
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {attrs["aria-labelledby"] for _, attrs in page.elements if "aria-labelledby" in attrs} <= set(ids)


def test_html_tells_all_that_a_reader_of_a_forwarded_page_needs() -> None:
    found = with_statuses(asm_pkce_s256="fail", prm_found="skip")
    shown = " ".join("".join(Elements(render("html", Assessment(found))).words).split())
    (failed,) = (result for result in found.checks if result.status == "fail")
    for part in (
        found.target,
        "21 September 2026, 14:13 UTC",
        "MCP 2026-07-28",
        "passive",
        "Not passed: 1 requirement is not kept or not judged.",
        failed.check.fix.replace("`", ""),
        *(f"{source.document}, {source.section}" for source in failed.check.sources),
    ):
        assert part in shown, part
    assert shown.index("PKCE with S256 is advertised") < shown.index("The endpoint publishes")
    assert "Passed: every MUST that was judged is kept." in render("html", Assessment(with_statuses()))


# JSON


def test_json_has_the_report_and_with_a_baseline_the_changes() -> None:
    found: Report = with_statuses(asm_pkce_s256="fail")
    assert json.loads(render("json", Assessment(found))) == found.as_dict()
    assert render("json", Assessment(found)).count("\n") == 1
    changes = json.loads(render("json", assessed()))["changes"]
    assert set(changes) == {"baseline", "notes", "failing", "fixed", "unjudged", "added", "gone"}
    assert changes["gone"] == [{"id": "gone-check", "title": "what a server said", "before": "fail", "now": None}]
