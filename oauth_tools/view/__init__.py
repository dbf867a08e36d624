"""The compliance report as an interactive view, for hosts that support MCP Apps (SEP-1865, revision 2026-01-26).

One page that holds its style and script, loads nothing, and gets the tool's result from the host by `postMessage`.
"""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from fastmcp import FastMCP
from fastmcp.apps.config import UI_MIME_TYPE, AppConfig, ResourceCSP

from oauth_server.core.services import Runtime
from oauth_tools.resources import admit_reader

VIEW_URI: Final = "ui://oauth/compliance.html"
_FOLDER: Final = Path(__file__).parent


def register(mcp: FastMCP, runtime: Runtime) -> None:
    """Add the page as a resource; `_meta.ui` tells the host that it needs no other origin at all."""
    nowhere = ResourceCSP(connect_domains=[], resource_domains=[], frame_domains=[], base_uri_domains=[])

    @mcp.resource(
        VIEW_URI,
        name="compliance_view",
        title="Compliance report, interactive view",
        mime_type=UI_MIME_TYPE,
        app=AppConfig(csp=nowhere, prefers_border=True),
    )
    async def compliance_view() -> str:
        """The page in which a host with MCP Apps shows the result of mcp_oauth_check_compliance."""
        admit_reader(runtime, VIEW_URI)
        return page()


@cache
def page() -> str:
    """The page. Its own policy admits this very script and style alone, whatever the host's policy leaves open."""
    style, script = ((_FOLDER / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    policy = (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    html = (_FOLDER / "report.html").read_text(encoding="utf-8")
    for marker, text in (("/*style*/", style), ("/*script*/", script), ("policy-of-the-page", policy)):
        html = html.replace(marker, text)
    return html


def _digest(text: str) -> str:
    """The source expression of an inline element (CSP Level 3 section 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
