"""Hostile client assertions: what refusing the worst of them costs the event loop, in milliseconds of CPU.

They name a client with as many keys as it may have: `uv run --group bench bench/hostile.py`.
"""

import asyncio
import json
import statistics
import tempfile
import time
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from oauth_server.app.compose import open_services
from oauth_server.core.capabilities import GRANT_TYPES
from oauth_server.core.client_assertions import ASSERTION_TYPE
from oauth_server.core.client_keys import MAX_KEYS, MAX_RSA_BITS, MAX_RSA_EXPONENT
from oauth_server.core.deployment import deploy
from oauth_server.core.errors import InvalidClientError
from oauth_server.core.services import Services
from oauth_server.core.settings import load

CALLS = 20  # in a round: the bound on wrong assertions of one client is not reached
P521 = 66  # bytes of a coordinate


def _b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _numbers(**numbers: int) -> dict[str, str]:
    return {name: _b64(value.to_bytes((value.bit_length() + 7) // 8, "big")) for name, value in numbers.items()}


def _ec_keys() -> list[dict[str, str]]:
    points = (ec.generate_private_key(ec.SECP521R1()).public_key().public_numbers() for _ in range(MAX_KEYS))
    return [
        {"kty": "EC", "crv": "P-521", "kid": str(number), "x": _b64(p.x.to_bytes(P521)), "y": _b64(p.y.to_bytes(P521))}
        for number, p in enumerate(points)
    ]


def _rsa_keys() -> list[dict[str, str]]:
    modulus = rsa.generate_private_key(65537, MAX_RSA_BITS).public_key().public_numbers().n
    return [
        {"kty": "RSA", "kid": str(number), **_numbers(n=modulus + 2 * number, e=MAX_RSA_EXPONENT - 1)}
        for number in range(MAX_KEYS)
    ]


def _forged(client_id: str, alg: str, kid: str | None, size: int) -> dict[str, str]:
    header: dict[str, Any] = {"alg": alg} if kid is None else {"alg": alg, "kid": kid}
    parts = (json.dumps(header).encode(), json.dumps({"sub": client_id}).encode(), b"\x01" * size)
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": ".".join(map(_b64, parts))}


async def _refused(services: Services, form: dict[str, str]) -> None:
    try:
        await services.client_authentication.authenticate(None, form)
    except InvalidClientError:
        return
    raise AssertionError("a forged assertion was accepted")


async def _milliseconds(services: Services, form: dict[str, str]) -> float:
    """CPU of one refusal, of so many."""
    started = time.process_time()
    for _ in range(CALLS):
        await _refused(services, form)
    return (time.process_time() - started) / CALLS * 1e3


async def measure(rounds: int) -> dict[str, float]:
    """Medians of the rounds: for the longest keys of each kind, without and with a kid, and at the first request."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load({"MCP_OAUTH_DATABASE_URL": f"sqlite:///{Path(folder) / 'oauth.db'}"})
        opening = open_services(settings, lambda _: deploy(settings, "127.0.0.1", 8000), serves_http=False)
        async with opening as opened:
            found: dict[str, list[float]] = {}
            for alg, size, keys in (("ES512", 2 * P521, _ec_keys()), ("RS512", MAX_RSA_BITS // 8, _rsa_keys())):
                for _ in range(min(rounds, 10)):
                    made = await opened.services.registration.add(
                        {
                            "token_endpoint_auth_method": "private_key_jwt",
                            "grant_types": ["client_credentials"],
                            "jwks": {"keys": keys},
                        },
                        grant_types=GRANT_TYPES,
                    )
                    for kid in (None, "7"):
                        form = _forged(made["client_id"], alg, kid, size)
                        started = time.process_time()
                        await _refused(opened.services, form)
                        first = (time.process_time() - started) * 1e3
                        name = f"{alg}, {MAX_KEYS} keys, {'no kid' if kid is None else 'a kid'}"
                        found.setdefault(f"{name}, the first", []).append(first)
                        found.setdefault(name, []).append(await _milliseconds(opened.services, form))
    medians = {name: statistics.median(values) for name, values in found.items()}
    return medians | {"worst": max(medians.values())}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(10)), indent=1))
