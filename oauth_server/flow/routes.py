"""The paths of the HTTP face."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from oauth_server.core import documents as d
from oauth_server.core.services import Runtime, Services
from oauth_server.flow import pages
from oauth_server.flow.account import Account
from oauth_server.flow.authorize import Authorize
from oauth_server.flow.client_configuration import Configure
from oauth_server.flow.front import Front
from oauth_server.flow.http import Endpoint, Handler
from oauth_server.flow.introspect import Introspect
from oauth_server.flow.logout import Logout
from oauth_server.flow.places import PLACE, guarded
from oauth_server.flow.register import Register
from oauth_server.flow.revoke import Revoke
from oauth_server.flow.token import Token
from oauth_server.flow.userinfo import Userinfo


async def _style(_request: Request) -> Response:
    # The path has the content's hash in it, so the content never changes.
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(pages.STYLESHEET, media_type="text/css", headers=headers)


def _late(runtime: Runtime, handler: Callable[[Services], Handler]) -> Handler:
    """A handler made from the services, which exist only once the server runs; made once for each start."""
    made: dict[int, Handler] = {}

    def handle(request: Request) -> Awaitable[Response]:
        services = runtime.services
        found = made.get(id(services))
        if found is None:
            made.clear()
            found = made[id(services)] = handler(services)
        return found(request)

    return handle


def flow_routes(runtime: Runtime) -> list[Route]:
    """The /oauth/* endpoints of the authorization server."""

    def late(handler: Callable[[Services], Handler]) -> Handler:
        return _late(runtime, handler)

    authorize = Endpoint(page=True, get=late(lambda s: Authorize(s).get), post=late(lambda s: Authorize(s).post))
    logout = Endpoint(page=True, get=late(lambda s: Logout(s).get), post=late(lambda s: Logout(s).post))
    account = Endpoint(page=True, get=late(lambda s: Account(s).get), post=late(lambda s: Account(s).post))
    userinfo = late(lambda s: Userinfo(s).get)
    token = Endpoint(post=late(lambda s: Token(s).post))
    register = Endpoint(post=late(lambda s: Register(s).post))
    return [
        Route(d.TOKEN_PATH, token),
        Route(d.AUTHORIZE_PATH, authorize),
        Route(d.REGISTER_PATH, register),
        Route(d.DEFAULT_TOKEN_PATH, token),
        Route(d.DEFAULT_AUTHORIZE_PATH, authorize),
        Route(d.DEFAULT_REGISTER_PATH, register),
        Route(
            f"{d.REGISTER_PATH}/{{client_id}}",
            Endpoint(
                get=late(lambda s: Configure(s).get),
                put=late(lambda s: Configure(s).put),
                delete=late(lambda s: Configure(s).delete),
            ),
        ),
        Route(d.REVOKE_PATH, Endpoint(post=late(lambda s: Revoke(s).post))),
        Route(d.INTROSPECT_PATH, Endpoint(post=late(lambda s: Introspect(s).post))),
        Route(d.USERINFO_PATH, Endpoint(get=userinfo, post=userinfo)),
        Route(d.LOGOUT_PATH, logout),
        Route(d.ACCOUNT_PATH, account),
        *_session_routes(late),
    ]


def _session_routes(late: Callable[[Callable[[Services], Handler]], Handler]) -> list[Route]:
    """The pages again, under a session path."""

    def page(get: Callable[[Services], Handler], post: Callable[[Services], Handler]) -> Endpoint:
        return Endpoint(
            page=True,
            get=late(lambda s: guarded(s.deployment, get(s))),
            post=late(lambda s: guarded(s.deployment, post(s))),
        )

    return [
        Route(PLACE + d.AUTHORIZE_PATH, page(lambda s: Authorize(s).get, lambda s: Authorize(s).post)),
        Route(PLACE + d.ACCOUNT_PATH, page(lambda s: Account(s).get, lambda s: Account(s).post)),
        Route(PLACE + d.LOGOUT_PATH, page(lambda s: Logout(s).get, lambda s: Logout(s).post)),
    ]


def front_routes(front: Front) -> list[Route]:
    """The start page, and the stylesheet of all pages."""
    return [Route("/", Endpoint(get=front.get, post=front.post)), Route(pages.STYLESHEET_PATH, Endpoint(get=_style))]
