"""The SSRF-guarded HTTP client: the only way a request leaves this server."""

from oauth_server.outbound.answers import Answer
from oauth_server.outbound.client import Limits, Outbound, OutboundError, Resolver, UnreachableError

__all__ = ["Answer", "Limits", "Outbound", "OutboundError", "Resolver", "UnreachableError"]
