"""Whom the endpoint lets in: challenges, tokens and what is in them, scopes."""

from typing import Final

from oauth_server.compliance.checks import (
    access_claims,
    access_token,
    bearer,
    challenge,
    forged,
    identity,
    misplaced,
    step_up,
)
from oauth_server.compliance.model import Check
from oauth_server.compliance.tables.row import AS, RS, check

CHALLENGE = "challenge"
BEARER = "bearer tokens"
FORMAT = "access tokens"
IDENTITY = "OpenID"
SCOPES = "scopes"

# Levels: one letter for each of 2025-03-26, 2025-06-18, 2025-11-25, 2026-07-28 (see model.levels).
# fmt: off
ROWS: Final[tuple[Check, ...]] = (
    check("challenge-status",            RS, CHALLENGE, "MMMM", "passive", challenge.status),
    check("challenge-scheme",            RS, CHALLENGE, "MMMM", "passive", challenge.scheme),
    check("challenge-syntax",            RS, CHALLENGE, "MMMM", "passive", challenge.syntax),
    check("challenge-resource-metadata", RS, CHALLENGE, "-Maa", "passive", challenge.resource_metadata),
    check("challenge-resolves",          RS, CHALLENGE, "-MMM", "passive", challenge.resolves),
    check("challenge-scope",             RS, CHALLENGE, "--SS", "passive", challenge.scope),
    check("challenge-no-offline-access", RS, CHALLENGE, "---S", "passive", challenge.no_offline_access),
    check("challenge-no-error",          RS, CHALLENGE, "SSSS", "passive", challenge.no_error),
    check("challenge-not-html",          RS, CHALLENGE, "aaaa", "passive", challenge.not_html),
    check("challenge-get",               RS, CHALLENGE, "MMMM", "active",  challenge.on_get),
    check("challenge-before-body",       RS, CHALLENGE, "aaaa", "active",  challenge.before_body),
    check("bearer-garbage",              RS, BEARER,    "MMMM", "active",  bearer.garbage),
    check("bearer-challenge",            RS, BEARER,    "MMMM", "active",  bearer.challenged),
    check("bearer-invalid-token",        RS, BEARER,    "SSSS", "active",  bearer.invalid_token),
    check("bearer-metadata",             RS, BEARER,    "-aaa", "active",  bearer.invalid_token_metadata),
    check("bearer-malformed",            RS, BEARER,    "MMMM", "active",  bearer.malformed),
    check("bearer-empty",                RS, BEARER,    "MMMM", "active",  bearer.empty),
    check("bearer-huge",                 RS, BEARER,    "SSSS", "adversarial", bearer.huge),
    check("bearer-other-scheme",         RS, BEARER,    "MMMM", "active",  bearer.other_scheme),
    check("bearer-wrong-scheme",         RS, BEARER,    "SSSS", "adversarial", bearer.wrong_scheme),
    check("bearer-accepted",             RS, BEARER,    "MMMM", "active",  bearer.accepted),
    check("bearer-lowercase-scheme",     RS, BEARER,    "MMMM", "active",  bearer.lowercase_scheme),
    check("bearer-duplicate-header",     RS, BEARER,    "aaaa", "adversarial", bearer.duplicate_header),
    check("bearer-query",                RS, BEARER,    "MMMM", "active",  bearer.query),
    check("bearer-body",                 RS, BEARER,    "aaaa", "active",  bearer.body),
    check("bearer-unsigned",             RS, BEARER,    "MMMM", "adversarial", forged.unsigned),
    check("bearer-confused-algorithm",   RS, BEARER,    "MMMM", "adversarial", forged.confused_algorithm),
    check("bearer-tampered",             RS, BEARER,    "MMMM", "adversarial", forged.tampered),
    check("bearer-self-signed",          RS, BEARER,    "MMMM", "adversarial", forged.self_signed),
    check("bearer-unknown-kid",          RS, BEARER,    "MMMM", "adversarial", forged.unknown_kid),
    check("bearer-jwk-header",           RS, BEARER,    "MMMM", "adversarial", forged.jwk_header),
    check("bearer-jku-header",           RS, BEARER,    "MMMM", "adversarial", forged.jku_header),
    check("bearer-kid-injection",        RS, BEARER,    "MMMM", "adversarial", forged.kid_injection),
    check("bearer-refresh-token",        RS, BEARER,    "MMMM", "adversarial", misplaced.refresh_token),
    check("bearer-id-token",             RS, BEARER,    "MMMM", "adversarial", misplaced.id_token),
    check("at-signed",                   AS, FORMAT,    "MMMM", "active",  access_token.is_signed),
    check("at-algorithm",                AS, FORMAT,    "SSSS", "active",  access_token.algorithm),
    check("at-typ",                      AS, FORMAT,    "aaaa", "active",  access_token.typed),
    check("at-kid",                      AS, FORMAT,    "aaaa", "active",  access_token.kid),
    check("at-signature",                AS, FORMAT,    "MMMM", "active",  access_token.signature),
    check("at-iss",                      AS, FORMAT,    "MMMM", "active",  access_claims.issuer),
    check("at-aud",                      AS, FORMAT,    "MMMM", "active",  access_claims.has_audience),
    check("at-aud-resource",             AS, FORMAT,    "-SSS", "active",  access_claims.audience),
    check("at-aud-only",                 AS, FORMAT,    "aaaa", "active",  access_claims.single_audience),
    check("at-exp",                      AS, FORMAT,    "MMMM", "active",  access_claims.expiry),
    check("at-iat",                      AS, FORMAT,    "MMMM", "active",  access_claims.issued_at),
    check("at-lifetime",                 AS, FORMAT,    "SSSS", "active",  access_claims.lifetime),
    check("at-sub",                      AS, FORMAT,    "MMMM", "active",  access_claims.subject),
    check("at-client-id",                AS, FORMAT,    "MMMM", "active",  access_claims.client_id),
    check("at-jti",                      AS, FORMAT,    "MMMM", "active",  access_claims.identifier),
    check("at-scope",                    AS, FORMAT,    "SSSS", "active",  access_claims.scope),
    check("at-no-secrets",               AS, FORMAT,    "aaaa", "active",  access_claims.no_secrets),
    check("id-token-issued",             AS, IDENTITY,  "MMMM", "active",  identity.is_issued),
    check("id-token-claims",             AS, IDENTITY,  "MMMM", "active",  identity.claims),
    check("id-token-iss",                AS, IDENTITY,  "MMMM", "active",  identity.issuer),
    check("id-token-aud",                AS, IDENTITY,  "MMMM", "active",  identity.audience),
    check("id-token-nonce",              AS, IDENTITY,  "MMMM", "active",  identity.nonce),
    check("id-token-signature",          AS, IDENTITY,  "MMMM", "active",  identity.signature),
    check("id-token-algorithm",          AS, IDENTITY,  "SSSS", "active",  identity.algorithm),
    check("userinfo-token",              AS, IDENTITY,  "MMMM", "active",  identity.userinfo),
    check("userinfo-sub-matches",        AS, IDENTITY,  "MMMM", "active",  identity.userinfo_subject),
    check("scope-minimal",               RS, SCOPES,    "-aaa", "passive", step_up.minimal),
    check("scope-challenge-grantable",   RS, SCOPES,    "--aa", "active",  step_up.grantable),
    check("stepup-403",                  RS, SCOPES,    "MMSS", "active",  step_up.status),
    check("stepup-not-tool-result",      RS, SCOPES,    "MMSS", "active",  step_up.not_hidden),
    check("stepup-error",                RS, SCOPES,    "SSSS", "active",  step_up.error),
    check("stepup-scope",                RS, SCOPES,    "--SS", "active",  step_up.scope),
    check("stepup-metadata",             RS, SCOPES,    "--SS", "active",  step_up.metadata),
    check("stepup-description",          RS, SCOPES,    "--aa", "active",  step_up.description),
    check("stepup-succeeds",             RS, SCOPES,    "--SS", "active",  step_up.succeeds),
)
# fmt: on
