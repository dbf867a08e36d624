"""The least that a Python server costs: an ASGI application on uvicorn, uvloop and httptools. Takes a port.

GET / is a constant, POST / reads a form and answers a constant.
"""

import sys
from typing import Any
from urllib.parse import parse_qsl

import uvicorn

BODY = b'{"status": "ok"}'
HEAD = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer one request."""
    status = 200
    if scope["method"] == "POST":
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        status = 200 if dict(parse_qsl(body.decode())).get("grant_type") else 400
    await send({"type": "http.response.start", "status": status, "headers": HEAD})
    await send({"type": "http.response.body", "body": BODY})


if __name__ == "__main__":
    uvicorn.run(
        app, port=int(sys.argv[1]), loop="uvloop", http="httptools", lifespan="off", access_log=False, log_level="error"
    )
