"""How clients come to be known, and what they may ask a browser for."""

from typing import Final

from oauth_server.compliance.checks import (
    client_configuration,
    client_documents,
    member_types,
    registration,
    registration_reply,
)
from oauth_server.compliance.model import Check
from oauth_server.compliance.tables import authorize
from oauth_server.compliance.tables.row import AS, check

REGISTER = "registration"
DOCUMENTS = "client ID metadata documents"

# Levels: one letter for each of 2025-03-26, 2025-06-18, 2025-11-25, 2026-07-28 (see model.levels).
# fmt: off
ROWS: Final[tuple[Check, ...]] = (
    check("register-works",              AS, REGISTER,  "SSaa", "active",  registration_reply.works),
    check("register-status-201",         AS, REGISTER,  "MMMM", "active",  registration_reply.status_created),
    check("register-echo",               AS, REGISTER,  "MMMM", "active",  registration_reply.echo),
    check("register-client-id",          AS, REGISTER,  "MMMM", "active",  registration_reply.client_id),
    check("register-types",              AS, REGISTER,  "MMMM", "active",  member_types.registration),
    check("register-public-no-secret",   AS, REGISTER,  "MMMM", "active",  registration_reply.public_no_secret),
    check("register-no-store",           AS, REGISTER,  "aaaa", "active",  registration_reply.no_store),
    check("register-secret-expiry",      AS, REGISTER,  "MMMM", "active",  registration_reply.secret_expiry),
    check("register-private-use",        AS, REGISTER,  "aaaa", "active",  registration_reply.private_use),
    check("register-loopback-portless",  AS, REGISTER,  "aaaa", "active",  registration_reply.portless),
    check("register-management-pair",    AS, REGISTER,  "MMMM", "active",  registration_reply.management_pair),
    check("register-management-read",    AS, REGISTER,  "MMMM", "active",  client_configuration.read),
    check("register-management-delete",  AS, REGISTER,  "MMMM", "active",  client_configuration.delete),
    check("register-management-anonymous", AS, REGISTER, "MMMM", "adversarial", client_configuration.anonymous),
    check("register-management-foreign", AS, REGISTER,  "MMMM", "adversarial", client_configuration.foreign),
    check("register-javascript",         AS, REGISTER,  "MMMM", "adversarial", registration.javascript_redirect),
    check("register-data",               AS, REGISTER,  "MMMM", "adversarial", registration.data_redirect),
    check("register-http",               AS, REGISTER,  "MMMM", "adversarial", registration.http_redirect),
    check("register-fragment",           AS, REGISTER,  "MMMM", "adversarial", registration.fragment_redirect),
    check("register-relative",           AS, REGISTER,  "MMMM", "adversarial", registration.relative_redirect),
    check("register-no-redirect",        AS, REGISTER,  "MMMM", "adversarial", registration.no_redirect),
    check("register-wrong-type",         AS, REGISTER,  "SSSS", "adversarial", registration.wrong_type),
    check("register-implicit",           AS, REGISTER,  "SSSS", "adversarial", registration.implicit),
    check("register-logo-script",        AS, REGISTER,  "SSSS", "adversarial", registration.script_uris),
    check("register-software-statement", AS, REGISTER,  "MMMM", "adversarial", registration.software_statement),
    check("register-large",              AS, REGISTER,  "aaaa", "adversarial", registration.large),
    check("register-malformed",          AS, REGISTER,  "MMMM", "active",  registration.malformed),
    check("register-error",              AS, REGISTER,  "MMMM", "adversarial", registration.error),
    check("register-get",                AS, REGISTER,  "SSSS", "active",  registration.get),
    check("cimd-none-advertised",        AS, DOCUMENTS, "--SS", "passive", client_documents.none_advertised),
    check("cimd-jwt-algs",               AS, DOCUMENTS, "MMMM", "passive", client_documents.assertion_algorithms),
    check("cimd-http",                   AS, DOCUMENTS, "--MM", "adversarial", client_documents.http),
    check("cimd-no-path",                AS, DOCUMENTS, "--MM", "adversarial", client_documents.no_path),
    check("cimd-fragment",               AS, DOCUMENTS, "--MM", "adversarial", client_documents.fragment),
    check("cimd-dot-segment",            AS, DOCUMENTS, "--MM", "adversarial", client_documents.dot_segment),
    check("cimd-userinfo",               AS, DOCUMENTS, "--MM", "adversarial", client_documents.userinfo),
    check("cimd-private",                AS, DOCUMENTS, "--SS", "adversarial", client_documents.private),
    check("cimd-unreachable",            AS, DOCUMENTS, "--SS", "adversarial", client_documents.unreachable),
    *authorize.ROWS,
)
# fmt: on
