"""What the account page shows of a person's grants and sessions."""

from datetime import UTC, datetime

from oauth_server.core import document_urls
from oauth_server.core.redirect_uris import host_of
from oauth_server.core.scopes import TITLES
from oauth_server.core.services import Services
from oauth_server.flow.pages import AccountView, ApplicationView, Moment
from oauth_server.store.records import Application, Session


async def account_view(services: Services, session: Session, csrf: str, base: str) -> AccountView:
    """The page for one signed-in person; of each scope, only what may still be granted to them. `base`: see Place."""
    user, permitted = session.user, services.grants.permitted

    def shown(application: Application) -> ApplicationView:
        scope = permitted.cut(application.scope, user.scope)
        return ApplicationView(
            client_id=application.client_id,
            name=application.name or application.client_id,
            verified=application.source == "configured",
            publisher=document_urls.host_of(application.client_id) if application.source == "document" else None,
            hosts=tuple(dict.fromkeys(host_of(uri) for uri in application.redirect_uris)),
            scopes=tuple((name, TITLES.get(name, (name, ""))[0]) for name in scope),
            since=moment(application.since),
            last_used=moment(application.last_used),
        )

    return AccountView(
        username=user.username,
        applications=tuple(shown(found) for found in await services.applications.of(user)),
        signed_in=moment(session.auth_time),
        others=tuple(moment(at) for at in await services.sessions.others(session)),
        csrf=csrf,
        base=base,
    )


def moment(at: float) -> Moment:
    """A time as HTML and a person read it, in UTC: the server does not know the reader's time zone."""
    when = datetime.fromtimestamp(at, UTC)
    return Moment(f"{when:%Y-%m-%dT%H:%MZ}", f"{when.day} {when:%B %Y, %H:%M} UTC")
