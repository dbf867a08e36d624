"""What stands in front of a server with a public https address: TLS ends here, the Host header goes on."""

import httpx2


class TlsProxy(httpx2.AsyncHTTPTransport):
    """Hands every request to a port of this computer, whatever address the client believes to talk to."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a copy on: the client's own request keeps its https URL, and with it its Secure cookies."""
        url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self._port)
        onward = httpx2.Request(
            request.method, url, headers=request.headers, stream=request.stream, extensions=request.extensions
        )
        return await super().handle_async_request(onward)

    def client(self, origin: str) -> httpx2.AsyncClient:
        """A client of the public address that follows no redirect by itself."""
        return httpx2.AsyncClient(base_url=origin, transport=self, follow_redirects=False)
