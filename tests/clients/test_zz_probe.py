import pytest
from tests.support.mcp_clients import *
from tests.support.mcp_clients import _SdkAuth
@pytest.mark.filterwarnings("ignore:Using in-memory token storage")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("url", ["http://127.0.0.1:{}/mcp","http://localhost:{}/mcp/","http://LOCALHOST:{}/mcp","http://localhost:{}/","http://localhost:{}", "HTTP://LocalHost:{}/mcp","http://127.0.0.1:{}/mcp/","http://localhost:{}/mcp?x=1"])
async def test_probe(kind, url, server, browser):
    person = Person(browser)
    c = None
    try:
      async with connected(kind, "auto", url.format(server.port), person) as c:
        await c.tools()
    except BaseException as e:
        print("FAILED", repr(e)[:300])
    print(url, kind)
    if c: print([(e.method,e.url,e.status, e.answer.get("location")) for e in c.auth.exchanges][:8]); print([a["resource"] for a in person.asked], c.token and c.token.access_token[:0])
async def test_root(server, browser):
    person = Person(browser)
    auth = _SdkAuth(server.url, person, Keychain())
    async with httpx2.AsyncClient(auth=auth) as h:
        r = await h.get(server.url + "/oauth/test")
        print(r.status_code, r.text, person.asked)
