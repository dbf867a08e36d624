"""Accepting a form only from our own page in the browser it was shown to (RFC 9700 section 4.7)."""

from collections.abc import Sequence

from starlette.requests import Request

from oauth_server.core.errors import AccessDeniedError
from oauth_server.core.refusal_log import shown_uri
from oauth_server.core.services import Services
from oauth_server.flow.browser_sessions import Held
from oauth_server.flow.places import site_of

BLOCKED = (
    "Your browser did not send back the cookie that this form needs. Allow cookies for this address, "
    "then open the page again. A form that stayed open for hours loses its cookie as well."
)


def check_own_form(
    request: Request, services: Services, csrf: str, held: Held | None, purposes: Sequence[str]
) -> tuple[Held, str]:
    """The cookie that the form is bound to, and the one of `purposes` it was made for.

    Raises AccessDeniedError for a form of another site, another browser, another purpose, or an old one; and where the
    browser sends no cookie.
    """
    origin = request.headers.get("origin")
    foreign = origin is not None and origin not in services.deployment.origins
    if foreign or site_of(request) in ("cross-site", "same-site"):
        error = AccessDeniedError("This form was sent from another site.", reason=f"Origin {shown_uri(origin or '')}")
    elif held is None:
        error = AccessDeniedError(BLOCKED, reason="the cookie of the form is missing")
    else:
        for purpose in purposes:
            if services.sessions.csrf_valid(csrf, held.form_key, purpose):
                return held, purpose
        error = AccessDeniedError("This form is too old, or belongs to another browser; go back and try again.")
    error.check = "check_own_form"
    raise error
