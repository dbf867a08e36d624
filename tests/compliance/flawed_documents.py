"""The documents of the flawed server, and the switches that put a flaw into one of them."""

from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jose import jwk, jwt

NULL = object()  # a member that is null
Edits = Mapping[str, Mapping[str, Any]]

_EC = ec.generate_private_key(ec.SECP256R1())
_RSA = rsa.generate_private_key(65537, 2048)
_WEAK = rsa.generate_private_key(65537, 1024)  # noqa: S505 - the flaw to find
EC_PEM = _EC.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
PUBLIC_PEM = _EC.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _jwk(key: Any, alg: str, kid: str, *, private: bool = False) -> dict[str, Any]:
    form = (
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        if private
        else key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return {**jwk.construct(form, alg).to_dict(), "kid": kid, "alg": alg, "use": "sig"}


EC_KEY = _jwk(_EC, "ES256", "ec")
RSA_KEY = _jwk(_RSA, "RS256", "rsa")
SIGNER = jwk.construct(EC_PEM, "ES256")
ID_SIGNER = jwk.construct(_RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "RS256")
TOKEN = jwt.encode(
    {"iss": "https://mcp.example", "aud": "https://mcp.example/mcp", "sub": "u", "exp": 9999999999},
    SIGNER,
    "ES256",
    {"kid": "ec", "typ": "at+jwt"},
)


def _both(**members: Any) -> Edits:
    return {"asm": members, "oidc": members}


ALL_SCOPES = ["mcp:read", "mcp:write", "mcp:*", "openid", "offline_access"]
ODD_ISSUER = "https://mcp.example?tenant=1"
EDITS: Mapping[str, Edits] = {
    "prm-resource-matches": {"prm": {"resource": "https://mcp.example/other"}},
    "prm-root-resource": {"prm-root": {"resource": "https://mcp.example/other"}},
    "prm-resource-form": {"prm": {"resource": "https://mcp.example/mcp#fragment"}},
    "prm-types": {"prm": {"resource_documentation": NULL}},
    "prm-string-scopes": {"prm": {"scopes_supported": "mcp:read mcp:write"}},
    "prm-authorization-servers": {"prm": {"authorization_servers": []}},
    "prm-insecure-issuer": {"prm": {"authorization_servers": ["https://mcp.example", "http://other.example"]}},
    "prm-bearer-methods": {"prm": {"bearer_methods_supported": ["header", "query"]}},
    "prm-bearer-body": {"prm": {"bearer_methods_supported": ["body"]}},
    "prm-scopes-supported": {"prm": {"scopes_supported": None}},
    "prm-no-offline-access": {"prm": {"scopes_supported": ["mcp:read", "offline_access"]}},
    "prm-agree": {"prm-root": {"authorization_servers": ["https://other.example"]}},
    "asm-issuer-exact": {"asm": {"issuer": "https://mcp.example/"}},
    "asm-issuer-slash": {
        "prm": {"authorization_servers": ["https://mcp.example/"]},
        **_both(issuer="https://mcp.example/"),
    },
    "no-openid": _both(scopes_supported=["mcp:read", "mcp:write"]),
    "scope-minimal": {"prm": {"scopes_supported": ["mcp:read", "mcp:*"]}, **_both(scopes_supported=ALL_SCOPES)},
    "asm-issuer-form": {"prm": {"authorization_servers": [ODD_ISSUER]}, **_both(issuer=ODD_ISSUER)},
    "asm-endpoints-stated": {"asm": {"authorization_endpoint": None}},
    "asm-endpoints-secure": _both(introspection_endpoint="http://mcp.example/introspect"),
    "asm-types": {"asm": {"request_parameter_supported": "false"}},
    "asm-null-member": {"asm": {"service_documentation": NULL}},
    "asm-null-endpoint": {"asm": {"device_authorization_endpoint": NULL}},
    "asm-list-types": {"asm": {"dpop_signing_alg_values_supported": "ES256"}},
    "asm-no-empty-lists": {"asm": {"dpop_signing_alg_values_supported": []}},
    "asm-second-opinion": {"asm": {"op_policy_uri": "our policy"}},
    "asm-languages": {"asm": {"ui_locales_supported": ["en", "not a language"]}},
    "asm-algorithms": {"asm": {"revocation_endpoint_auth_signing_alg_values_supported": ["none"]}},
    "asm-response-types": _both(response_types_supported=["none"]),
    "asm-pkce-s256": {"asm": {"code_challenge_methods_supported": None}},
    "asm-pkce-no-plain": _both(code_challenge_methods_supported=["S256", "plain"]),
    "asm-grant-types": _both(grant_types_supported=None),
    "asm-no-password-grant": _both(grant_types_supported=["authorization_code", "refresh_token", "password"]),
    "id-token-implicit": _both(
        grant_types_supported=["authorization_code", "implicit", "refresh_token"],
        response_types_supported=["code", "id_token", "code id_token"],
    ),
    "asm-no-implicit-grant": _both(response_types_supported=["code", "id_token token"]),
    "asm-auth-methods": _both(token_endpoint_auth_methods_supported=["telepathy"]),
    "asm-public-clients": _both(token_endpoint_auth_methods_supported=["client_secret_basic", "private_key_jwt"]),
    "cimd-none-advertised": _both(token_endpoint_auth_methods_supported=["client_secret_basic"]),
    "cimd-jwt-algs": _both(token_endpoint_auth_signing_alg_values_supported=None),
    "cimd-algs-none": _both(token_endpoint_auth_signing_alg_values_supported=["ES256", "none"]),
    "cimd-algs-symmetric": _both(token_endpoint_auth_signing_alg_values_supported=["ES256", "HS256"]),
    "iss-advertised": _both(authorization_response_iss_parameter_supported=None),
    "asm-iss-parameter": _both(authorization_response_iss_parameter_supported=None),
    "asm-scopes-supported": _both(scopes_supported=None),
    "asm-scopes-agree": {"prm": {"scopes_supported": ["mcp:read", "mcp:unknown"]}},
    "asm-client-metadata-docs": {"asm": {"client_id_metadata_document_supported": None}},
    "asm-client-identifiers": {"asm": {"client_id_metadata_document_supported": None, "registration_endpoint": None}},
    "asm-refresh-consistent": _both(grant_types_supported=["authorization_code"]),
    "oidc-issuer": {"oidc": {"issuer": "https://mcp.example/"}},
    "oidc-required": {"oidc": {"subject_types_supported": None}},
    "oidc-pkce": {"oidc": {"code_challenge_methods_supported": None}},
    "oidc-id-token-algorithms": {"oidc": {"id_token_signing_alg_values_supported": ["ES256"]}},
    "oidc-id-token-none": {"oidc": {"id_token_signing_alg_values_supported": ["RS256", "none"]}},
    "oidc-request-uri": {"oidc": {"request_uri_parameter_supported": None}},
    "oidc-openid-scope": _both(scopes_supported=["mcp:read", "mcp:write", "offline_access"]),
    "oidc-agrees": {"oidc": {"token_endpoint": "https://mcp.example/other"}},
    "jwks-empty": {"jwks": {"keys": []}},
    "jwks-public-only": {"jwks": {"keys": [_jwk(_EC, "ES256", "ec", private=True), RSA_KEY]}},
    "jwks-no-symmetric": {
        "jwks": {"keys": [EC_KEY, RSA_KEY, {"kty": "oct", "kid": "h", "alg": "HS256", "use": "sig"}]}
    },
    "jwks-kid-unique": {"jwks": {"keys": [EC_KEY, {**RSA_KEY, "kid": "ec"}]}},
    "jwks-no-kid": {"jwks": {"keys": [EC_KEY, {**RSA_KEY, "kid": None}]}},
    "jwks-parameters": {"jwks": {"keys": [EC_KEY, {**RSA_KEY, "alg": "ES256"}]}},
    "jwks-no-use": {"jwks": {"keys": [EC_KEY, {**RSA_KEY, "use": None}]}},
    "jwks-strength": {"jwks": {"keys": [EC_KEY, _jwk(_WEAK, "RS256", "weak")]}},
    "jwks-covers-id-tokens": {"jwks": {"keys": [EC_KEY]}},
    "revoke-advertised": _both(revocation_endpoint=None),
    "leaks-secrets": {"asm": {"client_secret": "hunter2"}},
}


def document(name: str, base: str, flaw: str) -> dict[str, Any]:
    """Return one document of the server at `base`: `prm`, `prm-root`, `asm`, `oidc` or `jwks`."""
    members = _documents(base)["prm" if name == "prm-root" else name]
    edits = EDITS.get(flaw, {})
    members.update(edits.get("prm", {}) if name == "prm-root" else {})
    members.update(edits.get(name, {}))
    return {key: None if value is NULL else value for key, value in members.items() if value is not None}


def _documents(base: str) -> dict[str, dict[str, Any]]:
    common = {
        "issuer": base,
        "authorization_endpoint": f"{base}/authorize",
        "token_endpoint": f"{base}/token",
        "revocation_endpoint": f"{base}/revoke",
        "end_session_endpoint": f"{base}/logout",
        "introspection_endpoint": f"{base}/introspect",
        "jwks_uri": f"{base}/jwks",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["ES256", "RS256"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["mcp:read", "mcp:write", "openid", "offline_access"],
        "authorization_response_iss_parameter_supported": True,
    }
    return {
        "prm": {
            "resource": f"{base}/mcp",
            "authorization_servers": [base],
            "scopes_supported": ["mcp:read", "mcp:write"],
            "bearer_methods_supported": ["header"],
        },
        "asm": {
            **common,
            "registration_endpoint": f"{base}/register",
            "client_id_metadata_document_supported": True,
        },
        "oidc": {
            **common,
            "userinfo_endpoint": f"{base}/userinfo",
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "request_uri_parameter_supported": False,
        },
        "jwks": {"keys": [EC_KEY, RSA_KEY]},
    }
