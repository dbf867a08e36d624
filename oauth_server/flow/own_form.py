"""Accepting a form only from our own page in the browser it was shown to (RFC 9700 section 4.7)."""

from starlette.requests import Request

from oauth_server.core.errors import AccessDeniedError
from oauth_server.core.services import Services


def check_own_form(request: Request, services: Services, csrf: str, cookie: str | None, purpose: str) -> None:
    """Raise AccessDeniedError for a form of another site, another browser, another purpose, or an old one."""
    origin = request.headers.get("origin")
    foreign = origin is not None and origin not in services.deployment.origins
    if foreign or request.headers.get("sec-fetch-site") == "cross-site":
        error = AccessDeniedError("This form was sent from another site.", reason=f"Origin {origin!r:.100}")
    elif not services.sessions.csrf_valid(csrf, cookie, purpose):
        error = AccessDeniedError("This form is too old, or belongs to another browser; go back and try again.")
    else:
        return
    error.check = "check_own_form"
    raise error
