"""Pinned to an address, a connection still proves the name: SNI and the certificate are the host's."""

import datetime as dt
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from oauth_server.outbound import Outbound, OutboundError

Serve = Callable[..., AbstractAsyncContextManager[Any]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


async def resolve(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


@pytest.fixture
def contexts(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's context for mcp.example, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mcp.example")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("mcp.example")]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "both.pem").write_bytes(secret + certificate)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "both.pem")
    return server, ssl.create_default_context(cadata=certificate.decode())


async def test_host_and_sni_are_the_names(serve: Serve, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    server, client = contexts
    named: list[str | None] = []
    server.sni_callback = lambda connection, name, context: named.append(name)
    async with serve(OK, ssl=server) as wire:
        outbound = Outbound(resolve=resolve, local=True, tls=client)
        assert (await outbound.request("GET", f"https://mcp.example:{wire.port}/")).status == 200
    assert named == ["mcp.example"]
    assert f"host: mcp.example:{wire.port}\r\n" in wire.heads[0].lower()


async def test_another_names_certificate_is_refused(
    serve: Serve, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    server, client = contexts
    async with serve(OK, ssl=server) as wire:
        with pytest.raises(OutboundError, match="certificate"):
            await Outbound(resolve=resolve, local=True, tls=client).request("GET", f"https://evil.example:{wire.port}/")
        with pytest.raises(OutboundError, match="certificate"):
            await Outbound(resolve=resolve, local=True).request("GET", f"https://mcp.example:{wire.port}/")
    assert wire.heads == []
