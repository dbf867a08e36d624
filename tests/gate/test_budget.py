"""What an authenticated call costs at the gate, counted instead of timed: store, signatures, decodes of its body."""

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx2
import pydantic_core
import pytest
from jose.backends.cryptography_backend import CryptographyECKey

from oauth_server.core.audit import request_id
from oauth_server.gate import decoding
from tests.support.mcp_http import ERAS, READ_TOOL, Era, ask, call, result, token_for
from tests.support.server import Running

eras = pytest.mark.parametrize("era", ERAS)
REGISTER = "mcp_oauth_register_client"


@pytest.fixture
def spent(shared: Running, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often requests did what is expensive; what the server does by itself meanwhile is left out."""
    counts: Counter[str] = Counter()

    def counted(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **options: Any) -> Any:
            if request_id.get():
                counts[name] += 1
            return original(*args, **options)

        return wrapper

    store = shared.services.store
    monkeypatch.setattr(store, "read", counted("store", store.read))
    monkeypatch.setattr(store, "write", counted("store", store.write))
    monkeypatch.setattr(CryptographyECKey, "verify", counted("verified", CryptographyECKey.verify))
    monkeypatch.setattr(CryptographyECKey, "sign", counted("signed", CryptographyECKey.sign))
    from_json = counted("decoded", pydantic_core.from_json)
    monkeypatch.setattr(decoding, "pydantic_core", SimpleNamespace(from_json=from_json))
    return counts


@eras
async def test_a_call_is_verified_once_and_asks_no_store(
    shared: Running, http: httpx2.AsyncClient, spent: Counter[str], era: Era
) -> None:
    token = await token_for(shared, "mcp:read mcp:write")
    for times in range(1, 4):
        assert not result(await call(http, era, READ_TOOL, token)).get("isError")
        assert spent == {"verified": 1, "decoded": times}
    another = await token_for(shared, "mcp:read mcp:write")
    await call(http, era, READ_TOOL, another)
    assert spent == {"verified": 2, "decoded": 4}


@eras
async def test_a_list_asks_the_store_for_the_ceiling_once(
    shared: Running, http: httpx2.AsyncClient, spent: Counter[str], era: Era
) -> None:
    token = await token_for(shared, "mcp:read")
    await ask(http, era, "tools/list", token=token)
    assert spent["store"] <= 1
    spent.clear()
    for method in ("tools/list", "resources/list", "resources/templates/list"):
        assert result(await ask(http, era, method, token=token))
    assert spent == {"decoded": 3}


@eras
async def test_a_refusal_asks_no_store(
    shared: Running, http: httpx2.AsyncClient, spent: Counter[str], era: Era
) -> None:
    token = await token_for(shared, "mcp:read")
    head, payload, signature = token.split(".")
    forged = f"{head}.{payload}.{signature[:-8]}AAAAAAAA"
    for refused in (None, "garbage", f"e30.{payload}.{signature}"):
        assert (await call(http, era, READ_TOOL, refused)).status_code == 401
    assert not spent  # nothing is verified that no key of ours can have signed, and no body is decoded
    assert (await call(http, era, READ_TOOL, forged)).status_code == 401
    assert (await call(http, era, READ_TOOL, forged)).status_code == 401
    assert spent == {"verified": 2}  # a refused token is not remembered
    spent.clear()
    await ask(http, era, "tools/list", token=token)
    spent.clear()
    denied = await call(http, era, REGISTER, token, redirect_uris=["http://localhost/cb"])
    assert (denied.status_code, spent) == (403, {"decoded": 1})
