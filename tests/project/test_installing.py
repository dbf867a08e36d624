"""The README's two commands on a bare machine: the system's own Python, which may refuse packages, and no uv."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.program import ROOT, free_port, program, run

README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
GROUPS = PROJECT["dependency-groups"]
SYSTEM = Path("/usr/bin/python3")
# What an installation may need to reach its registry, on a machine with certificates or a cache of its own.
PASSED_ON = ("SSL_CERT_FILE", "PIP_CERT", "UV_CACHE_DIR", "HTTPS_PROXY", "NO_PROXY", "LANG")
IMAGE = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64", "os_name": "posix"}


def _commands() -> list[str]:
    """The commands that install anything, of all of the README's blocks."""
    return [
        line
        for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
        for line in block.splitlines()
        if "pip" in line
    ]


def _names(requirements: list[str]) -> set[str]:
    return {Requirement(text).name.lower().replace("_", "-") for text in requirements}


def _group(name: str) -> set[str]:
    return _names([text for text in GROUPS[name] if isinstance(text, str)])


def _why_not() -> str:
    """The reason why the commands cannot be tried here, empty where they can."""
    asked = "import sys, ensurepip; sys.exit(sys.version_info < (3, 11))"
    if not SYSTEM.exists():
        return f"there is no {SYSTEM}"
    found = subprocess.run([SYSTEM, "-c", asked], capture_output=True, check=False)
    return "" if found.returncode == 0 else f"{SYSTEM} is older than 3.11 or has no venv (python3-venv)"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The project as a clone has it."""
    reason = _why_not()
    if reason:
        pytest.skip(reason)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.rstrip("\0").split("\0"):
        if (ROOT / name).is_file():
            (tmp_path / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / "clone" / name)
    return tmp_path / "clone"


def _bare(home: Path, **env: str) -> dict[str, str]:
    """An environment in which nothing but the system's own programs are found."""
    cache = {"UV_CACHE_DIR": str(Path.home() / ".cache/uv")}  # what was downloaded before is not downloaded again
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {"PATH": "/usr/bin:/bin", "HOME": str(home), **cache, **kept, **env}


def _installed(clone: Path) -> set[str]:
    folders = clone.glob(".venv/lib/python*/site-packages/*.dist-info")
    return {folder.name.split("-")[0].lower().replace("_", "-") for folder in folders}


def test_the_readme_has_two_commands_one_to_run_the_server_and_one_for_the_tests() -> None:
    serve, test = _commands()
    install = "python3 -m venv .venv && . .venv/bin/activate && pip install uv && "
    assert (serve, test) == (f"{install}uv run server.py", f"{install}uv run --group test pytest")
    assert "uv run --group test pytest" in (ROOT / ".ci/run").read_text(encoding="utf-8")


@pytest.mark.timeout(600)
async def test_the_command_serves_with_a_python_that_refuses_packages_and_installs_nothing_else(
    clone: Path, tmp_path: Path
) -> None:
    serve, _ = _commands()
    port = free_port()
    env = _bare(tmp_path, MCP_PORT=str(port), MCP_OAUTH_DATABASE_URL=f"sqlite:///{tmp_path}/oauth.db")
    async with program("sh", "-c", serve, env=env, cwd=clone) as served:
        await served.said("MCP endpoint", 500)
        await served.ready(f"http://localhost:{port}")
    installed = _installed(clone)
    development = {name for group in GROUPS for name in _group(group)}
    serving = _names(PROJECT["project"]["dependencies"])
    assert serving <= installed
    # FastMCP needs two of them as well.
    assert development & installed <= {"authlib", "pyyaml"} | serving
    # What the setup document looks for.
    assert {"authlib", "python-jose"} <= installed


@pytest.mark.timeout(600)
async def test_the_command_tests_with_a_python_that_refuses_packages(clone: Path, tmp_path: Path) -> None:
    _, test = _commands()
    ended = await run(
        "sh", "-c", f"{test} -n 0 -q tests/core/test_pkce.py", env=_bare(tmp_path), cwd=clone, timeout=500
    )
    assert ended.status == 0, ended.err + ended.out
    assert " passed" in ended.out
    installed = _installed(clone)
    assert _group("test") <= installed
    assert not (_group("lint") | _group("bench")) & installed


def test_both_bounds_on_versions_agree_and_name_no_package_host() -> None:
    exported = subprocess.run(
        ["uv", "export", "--quiet", "--no-hashes", "--no-emit-project", "--no-annotate", "--no-header"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    wanted = [Requirement(line) for line in exported.splitlines()]
    environment = {**IMAGE, "python_version": "3.13", "python_full_version": "3.13.0"}
    found = {str(r.name) + str(r.specifier) for r in wanted if r.marker is None or r.marker.evaluate(environment)}
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert set(re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?(==\S+)", lock, re.MULTILINE)) == {
        tuple(re.split(r"(?===)", pin)) for pin in found
    }
    bound = PROJECT["tool"]["uv"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT00:00:00Z", bound["exclude-newer"])
    assert not {"index", "index-url", "extra-index-url", "find-links", "sources"} & bound.keys()
    assert "://" not in lock
    assert "uv.lock" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()
