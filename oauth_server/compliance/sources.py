"""The documents that checks cite, with an address for each section."""

from typing import Final

from oauth_server.compliance.model import Source

_SPECIFICATION: Final = "https://modelcontextprotocol.io/specification/2026-07-28/basic"
_OAUTH_2_1: Final = "https://datatracker.ietf.org/doc/html/draft-ietf-oauth-v2-1-13"
_CORE: Final = "https://openid.net/specs/openid-connect-core-1_0.html"
_OPENID: Final = "https://openid.net/specs/openid-connect-discovery-1_0.html"


def rfc(number: int, section: str) -> Source:
    """Cite a section of an RFC."""
    return Source(f"RFC {number}", section, f"https://www.rfc-editor.org/rfc/rfc{number}#section-{section}")


def oauth(section: str) -> Source:
    """Cite a section of OAuth 2.1, in the draft that MCP pins."""
    return Source("OAuth 2.1 (draft-ietf-oauth-v2-1-13)", section, f"{_OAUTH_2_1}#section-{section}")


def openid(section: str, anchor: str) -> Source:
    """Cite a section of OpenID Connect Discovery 1.0."""
    return Source("OpenID Connect Discovery 1.0", section, f"{_OPENID}#{anchor}")


def openid_core(section: str, anchor: str) -> Source:
    """Cite a section of OpenID Connect Core 1.0."""
    return Source("OpenID Connect Core 1.0", section, f"{_CORE}#{anchor}")


def mcp(section: str, page: str = "authorization") -> Source:
    """Cite a section of the MCP specification 2026-07-28 by its heading."""
    anchor = section.lower().replace("&", "%26").replace(" ", "-")
    place = _SPECIFICATION if page == "index" else f"{_SPECIFICATION}/{page}"
    return Source("MCP specification 2026-07-28", section, f"{place}#{anchor}")


def legacy(section: str, page: str) -> Source:
    """Cite the last revision of the MCP specification before 2026-07-28 that has the section."""
    version = "2025-03-26" if page == "index" else "2025-11-25"
    place = "basic" if page == "index" else f"basic/{page}"
    anchor = section.lower().replace(" ", "-")
    url = f"https://modelcontextprotocol.io/specification/{version}/{place}#{anchor}"
    return Source(f"MCP specification {version}", section, url)


def discovery(section: str) -> Source:
    """Cite the MCP specification's page on authorization server discovery."""
    return mcp(section, "authorization/authorization-server-discovery")


def security(section: str) -> Source:
    """Cite the MCP specification's page on the security of authorization."""
    return mcp(section, "authorization/security-considerations")


REGISTRATION: Final = mcp("Client ID Metadata Documents", "authorization/client-registration")
TRANSPORT: Final = mcp("Security & Endpoint", "transports/streamable-http")
FETCH: Final = Source("Fetch standard", "CORS protocol", "https://fetch.spec.whatwg.org/#http-cors-protocol")
RFC7523BIS: Final = Source(
    "draft-ietf-oauth-rfc7523bis", "4", "https://datatracker.ietf.org/doc/html/draft-ietf-oauth-rfc7523bis"
)
SENDING: Final = mcp("Sending Messages", "transports/streamable-http")
CACHING: Final = Source(
    "MCP specification 2026-07-28",
    "Caching",
    "https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/caching#cacheable-results",
)
BEST_PRACTICES: Final = Source(
    "MCP security best practices",
    "Session Hijacking",
    "https://modelcontextprotocol.io/docs/2025-11-25/tutorials/security/security_best_practices#session-hijacking",
)
JSON_RPC: Final = Source("JSON-RPC 2.0", "5.1", "https://www.jsonrpc.org/specification#error_object")
