"""The discovery documents, rendered from the capabilities.

Sources: RFC 9728 section 2, RFC 8414 section 2, OpenID Connect Discovery 1.0 section 3, RFC 9207 section 3,
RFC 9701 section 7.
"""

from collections.abc import Iterable
from typing import Any

from oauth_server.core import capabilities as c
from oauth_server.core.deployment import Deployment
from oauth_server.core.jwt import Key

PROTECTED_RESOURCE_PATH = "/.well-known/oauth-protected-resource"
AUTHORIZATION_SERVER_PATH = "/.well-known/oauth-authorization-server"
OPENID_CONFIGURATION_PATH = "/.well-known/openid-configuration"
JWKS_PATH = "/.well-known/jwks.json"

AUTHORIZE_PATH = "/oauth/authorize"
TOKEN_PATH = "/oauth/token"  # noqa: S105 - a path
REGISTER_PATH = "/oauth/register"
# Where clients of revision 2025-03-26 go that found no metadata: each answers as the documented endpoint does.
DEFAULT_AUTHORIZE_PATH = "/authorize"
DEFAULT_TOKEN_PATH = "/token"  # noqa: S105 - a path
DEFAULT_REGISTER_PATH = "/register"
USERINFO_PATH = "/oauth/userinfo"
REVOKE_PATH = "/oauth/revoke"
INTROSPECT_PATH = "/oauth/introspect"
LOGOUT_PATH = "/oauth/logout"
TEST_PATH = "/oauth/test"
ACCOUNT_PATH = "/account"


def protected_resource(deployment: Deployment, resource: str) -> dict[str, Any]:
    """Protected resource metadata of one name of the resource.

    scopes_supported is the minimal set for basic use, since clients ask for all of it (MCP authorization, RS-31): never
    offline_access, and mcp:admin only where there is nothing else. A 403 still leads to what is not in it.
    """
    return {
        "resource": resource,
        "authorization_servers": [deployment.issuer],
        "scopes_supported": list(c.capabilities(deployment.settings).basic_scopes),
        "bearer_methods_supported": ["header"],
        "resource_name": "MCP Docker Server",
    }


def authorization_server(deployment: Deployment) -> dict[str, Any]:
    """Authorization server metadata (RFC 8414)."""
    able = c.capabilities(deployment.settings)
    document: dict[str, Any] = {
        "issuer": deployment.issuer,
        "authorization_endpoint": deployment.url(AUTHORIZE_PATH),
        "token_endpoint": deployment.url(TOKEN_PATH),
        "jwks_uri": deployment.url(JWKS_PATH),
        "revocation_endpoint": deployment.url(REVOKE_PATH),
        "introspection_endpoint": deployment.url(INTROSPECT_PATH),
    }
    if able.registration:
        document["registration_endpoint"] = deployment.url(REGISTER_PATH)
    return document | {
        "scopes_supported": list(able.scopes),
        "response_types_supported": list(c.RESPONSE_TYPES),
        "response_modes_supported": list(c.RESPONSE_MODES),
        "grant_types_supported": list(c.GRANT_TYPES),
        "code_challenge_methods_supported": list(c.CODE_CHALLENGE_METHODS),
        "token_endpoint_auth_methods_supported": list(c.CLIENT_AUTH_METHODS),
        "token_endpoint_auth_signing_alg_values_supported": list(c.CLIENT_ASSERTION_ALGORITHMS),
        "revocation_endpoint_auth_methods_supported": list(c.CLIENT_AUTH_METHODS),
        "revocation_endpoint_auth_signing_alg_values_supported": list(c.CLIENT_ASSERTION_ALGORITHMS),
        "introspection_endpoint_auth_methods_supported": list(c.INTROSPECTION_AUTH_METHODS),
        "introspection_endpoint_auth_signing_alg_values_supported": list(c.CLIENT_ASSERTION_ALGORITHMS),
        "introspection_signing_alg_values_supported": list(c.INTROSPECTION_ALGORITHMS),
        "client_id_metadata_document_supported": able.documents,
        "authorization_response_iss_parameter_supported": True,
        "protected_resources": list(deployment.resources.names),
    }


def openid_configuration(deployment: Deployment) -> dict[str, Any]:
    """OpenID provider metadata: the authorization server's, and what OpenID Connect adds."""
    return authorization_server(deployment) | {
        "userinfo_endpoint": deployment.url(USERINFO_PATH),
        "end_session_endpoint": deployment.url(LOGOUT_PATH),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(c.ID_TOKEN_ALGORITHMS),
        "claims_supported": list(c.CLAIMS),
        "prompt_values_supported": list(c.PROMPTS),
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        # The default of this member is true (OpenID Connect Discovery section 3), so false must be said.
        "request_uri_parameter_supported": False,
    }


def jwks(keys: Iterable[Key]) -> dict[str, Any]:
    """The JSON Web Key Set: public halves only (RFC 7517 section 5)."""
    return {"keys": [dict(key.public_jwk) for key in keys]}
