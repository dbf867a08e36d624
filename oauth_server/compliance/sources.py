"""The documents that checks cite, with an address for each section."""

from typing import Final

from oauth_server.compliance.model import Source

_SPECIFICATION: Final = "https://modelcontextprotocol.io/specification/2026-07-28/basic"
_OAUTH_2_1: Final = "https://datatracker.ietf.org/doc/html/draft-ietf-oauth-v2-1-13"
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


def mcp(section: str, page: str = "authorization") -> Source:
    """Cite a section of the MCP specification 2026-07-28 by its heading."""
    anchor = section.lower().replace("&", "%26").replace(" ", "-")
    return Source("MCP specification 2026-07-28", section, f"{_SPECIFICATION}/{page}#{anchor}")


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
