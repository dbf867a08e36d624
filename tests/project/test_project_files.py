"""The project as others find it: one version everywhere, links that lead somewhere, files that their readers accept."""

import json
import re
import shlex
import subprocess
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from fastmcp.utilities.mcp_server_config import MCPServerConfig

from oauth_server.app.mcp_server import McpServer
from oauth_server.core.settings import load

ROOT = Path(__file__).parents[2]
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
PAGES = sorted(name for name in TRACKED if name.endswith(".md"))
LINK = re.compile(r"\]\((?!https?://|#)([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_of_the_pages_lead_to_what_is_there(page: str) -> None:
    for link in LINK.findall((ROOT / page).read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page}: {link}"


def test_the_pages_a_visitor_looks_for_are_there() -> None:
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md"} <= set(PAGES)
    assert "MIT License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_every_file_states_the_same_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert json.loads((ROOT / "server.json").read_text(encoding="utf-8"))["version"] == version
    assert McpServer(load({})).version == version
    shown = subprocess.run(
        ["uv", "run", "server.py", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == version


def test_registry_entry_names_the_endpoint_and_keeps_the_registry_s_limits() -> None:
    entry = json.loads((ROOT / "server.json").read_text(encoding="utf-8"))
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", entry["name"])
    assert len(entry["description"]) <= 100
    (remote,) = entry["remotes"]
    assert (remote["type"], remote["url"]) == ("streamable-http", "https://{host}/mcp")
    assert set(remote["variables"]) == {"host"}


def test_fastmcp_finds_the_server_by_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    config = MCPServerConfig.from_file(ROOT / "fastmcp.json")
    # FastMCP 4.2 makes the path absolute, 4.1 leaves it as it is written.
    assert (ROOT / config.source.path, config.source.entrypoint) == (ROOT / "server.py", "mcp")
    assert config.deployment.transport == "http"


def test_hooks_run_what_ci_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    ci = (ROOT / ".ci/run").read_text(encoding="utf-8")
    programs = {hook["id"]: " ".join(w for w in shlex.split(hook["entry"]) if w != "--force-exclude") for hook in hooks}
    page = programs.pop("requirements-page")
    assert "git diff --exit-code docs/requirements.md" in page
    assert programs.keys() == {"ruff-check", "ruff-format", "mypy", "import-rules"}
    for program in programs.values():
        assert re.search(rf"^{program}( |$)", ci, re.MULTILINE), program


@pytest.mark.parametrize("file", sorted((ROOT / "tests/endurance").glob("[a-z]*.py")), ids=lambda file: str(file.stem))
def test_what_the_suite_does_not_run_fits_what_it_tests(file: Path) -> None:
    assert import_module(f"tests.endurance.{file.stem}").main
