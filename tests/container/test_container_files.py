"""compose.yml, the Dockerfile and the locked requirements, held against the settings and the house's rules."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from oauth_server.core.settings import ENV_NAMES, check_deployment, load, resolve_issuer

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = (ROOT / "docs" / "oauth-authentication.md").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
SERVICE = yaml.safe_load((ROOT / "compose.yml").read_text(encoding="utf-8"))["services"]["mcp-server"]
ENVIRONMENT = dict(entry.split("=", 1) for entry in SERVICE["environment"])
IMAGE = dict(re.findall(r"^\s+(MCP_\w+)=(\S+?)(?: \\)?$", DOCKERFILE, re.MULTILINE))


def test_compose_names_every_variable_of_the_document_and_only_real_ones() -> None:
    documented = set(re.findall(r"^\s*- ((?:ENABLE_)?MCP_\w+)=", DOCUMENT, re.MULTILINE))
    assert len(documented) == 13
    assert documented <= ENVIRONMENT.keys() <= set(ENV_NAMES.values())


def test_its_values_load_in_the_image_without_a_warning() -> None:
    settings = load({**IMAGE, **ENVIRONMENT})
    assert (settings.host, settings.database_url) == ("0.0.0.0", "sqlite:////data/oauth.db")  # noqa: S104
    assert settings.issuer == resolve_issuer(settings, 8000) == "http://localhost:8000"
    assert check_deployment(settings, settings.issuer, settings.host) == []
    assert settings.require_auth
    assert settings.enabled


@pytest.mark.requirement("regression-10")
def test_no_secret_is_shipped_and_no_privilege_asked_for() -> None:
    assert ENVIRONMENT["MCP_OAUTH_CLIENT_SECRET"] == ""
    assert "mcp_secret_key" not in DOCKERFILE + str(SERVICE)
    assert SERVICE["cap_drop"] == ["ALL"]
    assert SERVICE["security_opt"] == ["no-new-privileges:true"]
    assert SERVICE["read_only"] is True
    assert not {"privileged", "cap_add", "network_mode", "pid", "devices", "user"} & SERVICE.keys()
    assert "docker.sock" not in str(SERVICE)
    assert SERVICE["volumes"] == ["oauth-data:/data"]


def test_the_image_runs_as_nobody_special_with_a_health_check_and_no_build_tools() -> None:
    stages = DOCKERFILE.split("\nFROM ")
    assert [stage.split()[0].removeprefix("FROM ") for stage in stages[1:]] == ["python:3.13-slim", "python:3.13-slim"]
    final = stages[-1]
    assert re.findall(r"^USER (\w+)", final, re.MULTILINE) == ["mcp"]
    assert "HEALTHCHECK" in final
    assert "VOLUME /data" in final
    assert "apt-get" not in DOCKERFILE
    assert "pip install" not in final
    assert "--require-hashes" in stages[1]


def test_the_lock_holds_what_the_project_asks_for_with_hashes_and_no_development_tools() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[\[<>=!;, ]", text, maxsplit=1)[0].lower().replace("_", "-") for text in requirements}

    locked = names(re.findall(r"^([\w.-]+==\S+)", LOCK, re.MULTILINE))
    assert names(project["project"]["dependencies"]) <= locked
    groups = [text for group in project["dependency-groups"].values() for text in group if isinstance(text, str)]
    assert not (names(groups) - names(project["project"]["dependencies"])) & locked - {
        *("authlib", "pyyaml")  # FastMCP needs them too
    }
    for entry in re.split(r"\n(?=[\w.-]+==)", LOCK.strip()):
        assert "--hash=sha256:" in entry, entry[:60]
    assert "index-url" not in LOCK
    assert "://" not in LOCK
