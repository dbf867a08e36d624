"""OpenTelemetry: a span for each request and FastMCP's inside it, metrics beside Prometheus, the SDK only on request."""

from pathlib import Path

import httpx2

from oauth_server.app.span_exporter import plain_words
from tests.support.collector import collector
from tests.support.program import SERVER, environment, free_port, program

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
BLOCKED = "import sys; sys.modules['opentelemetry.sdk'] = None; sys.argv[0] = 'server.py'; import server; server.main()"


async def test_spans_and_metrics_go_where_the_standard_variables_say(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://localhost:{port}"
    async with collector() as collected:
        env = environment(
            tmp_path,
            MCP_OAUTH_REQUIRE_AUTH="false",
            OTEL_EXPORTER_OTLP_ENDPOINT=collected.url,
            OTEL_BSP_SCHEDULE_DELAY="100",
            OTEL_METRIC_EXPORT_INTERVAL="300",
        )
        async with program(*SERVER, "--port", str(port), env=env) as started:
            await started.ready(url)
            async with httpx2.AsyncClient(base_url=url) as http:
                headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "Accept": "application/json, text/event-stream"}
                message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
                assert (await http.post("/mcp", json=message, headers=headers)).status_code == 200
                assert (await http.get("/oauth/token?code=secret")).status_code == 405
            listed = await collected.took("tools/list")
            outer = await collected.took("POST /mcp")
            token = await collected.took("GET /oauth/token")
            ended = await started.end()
    assert ended.status == 0, ended.err
    assert outer.trace_id.hex() == listed.trace_id.hex() == TRACE
    assert outer.parent_span_id.hex() == PARENT
    assert listed.parent_span_id == outer.span_id
    attributes = {a.key: a.value.string_value or a.value.int_value for a in token.attributes}
    assert attributes == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "http.response.status_code": 405,
        "http.route": "/oauth/token",
    }
    assert {found["service.name"] for found in collected.resources} == {"mcp-docker-server"}
    assert all(found["service.instance.id"] for found in collected.resources)
    labels = frozenset({("route", "/oauth/token"), ("method", "GET"), ("status", "405")})
    assert collected.values("mcp_http_requests")[labels] == 1
    assert collected.values("mcp_http_request_seconds_count")[frozenset({("route", "/oauth/token")})] == 1
    assert collected.values("mcp_revocation_entries") != {}


async def test_a_missing_extra_is_told_in_one_line_and_the_server_serves(tmp_path: Path) -> None:
    port = free_port()
    env = environment(tmp_path, MCP_PORT=str(port), OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    async with program(SERVER[0], "-c", BLOCKED, env=env) as started:
        await started.ready(f"http://localhost:{port}")
        ended = await started.end()
    told = [line for line in ended.lines if "OTEL_EXPORTER_OTLP_ENDPOINT is set, but the extra otel" in line]
    assert len(told) == 1, ended.err
    assert (ended.status, "Traceback" in ended.err) == (0, False)


def test_names_of_the_protocol_are_plain_words_and_secrets_are_not() -> None:
    for name in (
        "tools/call mcp_oauth_validate_token",
        "logging/setLevel",
        "oauth://authorization-server",
        "GET /oauth/register/{client_id}",
        "2025-11-25",
        "tool:mcp_oauth_check_compliance@",
        "ValidationError",
        "-32602",
    ):
        assert plain_words(name) == name
    assert plain_words("tools/call PIzz8-kq_Xw27dRt") == "tools/call …-…"
    assert plain_words("oauth://clients/u3DGN2g7e6Tqphnm") == "oauth://clients/…"
