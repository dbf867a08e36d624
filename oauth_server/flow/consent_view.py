"""What the consent page shows of a request (MCP authorization, section "Consent"; AS-16 and AS-17)."""

from urllib.parse import urlsplit

from oauth_server.core import document_urls
from oauth_server.core.redirect_uris import host_of, on_this_computer
from oauth_server.core.scopes import SENSITIVE, TITLES
from oauth_server.flow.authorize_checks import AuthorizeRequest
from oauth_server.flow.pages import Consent, ScopeChoice
from oauth_server.store.records import User


def consent_view(
    asked: AuthorizeRequest, user: User, offered: tuple[str, ...], *, action: str, csrf: str, ticked: bool
) -> Consent:
    """The view of a checked request; scopes without words of ours are shown by their names.

    `ticked`: whether the boxes start ticked; not so once the person has cleared them all. Those of sensitive scopes
    never do.
    """
    client = asked.known_client
    client_uri = client.metadata.get("client_uri")
    return Consent(
        client_name=client.name or client.client_id,
        client_id=client.client_id,
        client_host=urlsplit(client_uri).hostname if client_uri else None,
        redirect_host=host_of(asked.redirect_uri),
        local=on_this_computer(asked.redirect_uri),
        username=user.username,
        resource=", ".join(asked.resources),
        scopes=tuple(_choice(scope, ticked=ticked) for scope in offered),
        action=action,
        csrf=csrf,
        verified=client.source == "configured",
        publisher=document_urls.host_of(client.client_id) if client.source == "document" else None,
    )


def _choice(scope: str, *, ticked: bool) -> ScopeChoice:
    title, description = TITLES.get(scope, (scope, "A permission that the operator of this server defined."))
    sensitive = scope in SENSITIVE
    checked = ticked and not sensitive
    return ScopeChoice(name=scope, title=title, description=description, sensitive=sensitive, checked=checked)
