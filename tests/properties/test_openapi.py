"""docs/openapi.yaml describes the HTTP face as it is; requests made up from it never break the server (attack 76)."""

import asyncio
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.routing import Route

from tests.support.databases import Template
from tests.support.server import Running, running

PAGE = Path(__file__).parents[2] / "docs" / "openapi.yaml"
DESCRIPTION: dict[str, Any] = yaml.safe_load(PAGE.read_text(encoding="utf-8"))
SCHEMA = schemathesis.openapi.from_dict(DESCRIPTION)
OPERATIONS = {f"{op.ok().method.upper()} {op.ok().path}": op.ok() for op in SCHEMA.get_all_operations()}
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
REFUSED = 400


@pytest.fixture(scope="module")
def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server in a thread of its own: the requests here are made by a blocking client."""
    found: list[Running] = []
    started, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with running(template, tmp_path_factory.mktemp("fuzz")) as server:
            found.append(server)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(30)
    yield found[0]
    loops[0].call_soon_threadsafe(stop.set)
    thread.join()


def test_description_has_the_paths_and_methods_that_are_served(server: Running) -> None:
    face = server.server._face
    assert face is not None
    paths = {route.path for route in face.routes if isinstance(route, Route)}
    undescribed = {path for path in paths if path.startswith("/oauth/style-")} | {"/mcp/"}
    assert DESCRIPTION["paths"].keys() == paths - undescribed
    for path, operations in DESCRIPTION["paths"].items():
        described = {method.upper() for method in operations if method != "parameters"}
        url = server.url + path.replace("{client_id}", "nobody")
        served = {
            m for m in ("GET", "POST", "PUT", "DELETE", "PATCH") if not _refuses(requests.request(m, url, timeout=10))
        }
        # The start page answers POST only to say where to go.
        assert described - ({"POST"} if path == "/" else set()) == served, path


def _refuses(reply: requests.Response) -> bool:
    return reply.status_code == 405 or (
        reply.status_code == 401 and "/mcp" in reply.url and reply.request.method != "POST"
    )


def test_description_names_every_endpoint_of_the_metadata(server: Running) -> None:
    metadata = requests.get(f"{server.url}/.well-known/openid-configuration", timeout=10).json()
    named = {value.removeprefix(server.url) for key, value in metadata.items() if key.endswith(("_endpoint", "_uri"))}
    assert named <= DESCRIPTION["paths"].keys()
    methods = DESCRIPTION["components"]["schemas"]["ClientMetadata"]["properties"]["token_endpoint_auth_method"]["enum"]
    assert methods == metadata["token_endpoint_auth_methods_supported"]


@pytest.mark.requirement("attack-76", "attack-40")
@pytest.mark.parametrize("name", OPERATIONS)
def test_no_request_breaks_an_endpoint(server: Running, name: str) -> None:
    operation = OPERATIONS[name]

    @given(case=operation.as_strategy())
    @settings(
        max_examples=15,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def fuzz(case: Any) -> None:
        reply = case.call(base_url=server.url, allow_redirects=False, timeout=10)
        case.validate_response(reply, checks=CHECKS)
        body = reply.content
        if reply.status_code >= REFUSED and b'"jsonrpc"' not in body and body:
            kind = reply.headers["content-type"][0]
            assert kind.startswith(("application/json", "text/html")), kind
            assert b'"error"' in body or b"<h1>" in body, body[:200]
        assert not re.search(rb"Traceback|sqlalchemy|/site-packages/", body)

    fuzz()
