"""compose.scale.yml and its Caddyfile, held against the settings, the image and the house's rules."""

import json
import re
import shutil
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from oauth_server.app import serving
from oauth_server.core.settings import _FROM_FILE, ENV_NAMES, check_deployment, load
from oauth_server.store.store import CLOSE_SECONDS
from tests.container.test_container_files import DOCKERFILE, IMAGE
from tests.support.replicas import SENDS_BODIES_AGAIN, caddy_environment

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.scale.yml").read_text(encoding="utf-8"))
CADDYFILE = (ROOT / "Caddyfile").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
REPLICAS = ("replica-1", "replica-2")


def given(service: str, **shell: str) -> dict[str, str]:
    """The environment of a service as compose hands it over: ${NAME:-default} replaced."""

    def value(found: re.Match[str]) -> str:
        return shell.get(found[1], found[2])

    return {
        name: re.sub(r"\$\{(\w+):-([^}]*)\}", value, text) for name, text in SERVICES[service]["environment"].items()
    }


def test_two_replicas_are_the_same_and_the_proxy_knows_both() -> None:
    assert SERVICES["replica-1"] == SERVICES["replica-2"]
    assert given("caddy")["UPSTREAMS"].split() == [f"{name}:8000" for name in REPLICAS]
    assert set(SERVICES) == {*REPLICAS, "caddy", "postgres"}
    assert SERVICES["postgres"]["image"] == "postgres:17"
    image, _, version = SERVICES["caddy"]["image"].partition(":")
    assert image == "caddy"
    assert tuple(map(int, version.split("."))) >= SENDS_BODIES_AGAIN[:2]


def test_every_variable_is_a_setting_and_loads_in_the_image_for_a_public_name(tmp_path: Path) -> None:
    environment = given("replica-1", SITE="mcp.example.com")
    assert environment.keys() <= {*ENV_NAMES.values(), *(f"{name}_FILE" for name in _FROM_FILE)}
    secrets = {
        "database_url": "postgresql://mcp:pw@postgres/mcp",
        "key_encryption_key": "A" * 43 + "=",
        "admin_password": "a password of the owner",
    }
    assert set(secrets) == set(SERVICES["replica-1"]["secrets"])
    for name, text in secrets.items():
        (tmp_path / name).write_text(f"{text}\n")
    files = {name: value.replace("/run/secrets", str(tmp_path)) for name, value in environment.items()}
    settings = load({**IMAGE, **files})
    assert settings.issuer == "https://mcp.example.com"
    assert settings.database_url == secrets["database_url"]
    assert settings.key_encryption_key is not None
    assert check_deployment(settings, settings.issuer, settings.host) == []


def test_only_the_proxy_is_published_and_only_its_address_is_believed() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["caddy"]
    address = SERVICES["caddy"]["networks"]["front"]["ipv4_address"]
    assert given("replica-1")["MCP_OAUTH_TRUSTED_PROXIES"] == address
    (front,) = COMPOSE["networks"]["front"]["ipam"]["config"]
    assert ip_address(address) in ip_network(front["subnet"])
    assert COMPOSE["networks"]["data"] == {"internal": True}
    assert SERVICES["postgres"]["networks"] == ["data"]
    assert set(SERVICES["caddy"]["networks"]) == {"front"}


def test_no_secret_stands_in_the_file_and_no_privilege_is_asked_for() -> None:
    assert {name: found["file"] for name, found in COMPOSE["secrets"].items()} == {
        name: f"./secrets/{name}" for name in COMPOSE["secrets"]
    }
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert used == set(COMPOSE["secrets"])
    assert "secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    for service in SERVICES.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not {"privileged", "network_mode", "pid", "devices"} & service.keys()
    assert "cap_add" not in SERVICES["replica-1"]


def test_each_starts_after_what_it_needs_and_has_the_time_to_drain() -> None:
    assert "HEALTHCHECK" in DOCKERFILE
    assert "127.0.0.1:8000/routez" in SERVICES["replica-1"]["healthcheck"]["test"][-1]
    assert "pg_isready" in SERVICES["postgres"]["healthcheck"]["test"]
    healthy = {"condition": "service_healthy"}
    assert SERVICES["replica-1"]["depends_on"] == {"postgres": healthy}
    assert SERVICES["caddy"]["depends_on"] == dict.fromkeys(REPLICAS, healthy)
    longest = serving.NOTICE_SECONDS + serving.DRAIN_SECONDS + CLOSE_SECONDS
    assert int(SERVICES["replica-1"]["stop_grace_period"].removesuffix("s")) > longest


def test_the_proxy_closes_idle_connections_before_a_replica_does_and_looks_within_its_notice() -> None:
    found = re.search(r"keepalive (\d+)s", CADDYFILE)
    looks = re.search(r"health_interval (\d+)s", CADDYFILE)
    assert found is not None
    assert looks is not None
    assert int(found[1]) < serving.NOTICE_SECONDS < load({}).keep_alive
    assert 2 * int(looks[1]) < serving.NOTICE_SECONDS


@pytest.mark.skipif(shutil.which("caddy") is None, reason="caddy is not installed")
def test_caddy_takes_its_file_and_would_never_send_a_post_twice() -> None:
    adapted = subprocess.run(
        ["caddy", "adapt", "--config", str(ROOT / "Caddyfile"), "--adapter", "caddyfile", "--validate"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **caddy_environment(8443, [8001, 8002])},
    )
    text = adapted.stdout
    found = json.loads(text)
    assert found["admin"]["disabled"] is True
    assert [server["listen"] for server in found["apps"]["http"]["servers"].values()] == [[":8443"]]
    assert found["apps"]["pki"]["certificate_authorities"]["local"]["install_trust"] is False
    assert '"uri":"/routez"' in text
    assert "retry_match" not in text
