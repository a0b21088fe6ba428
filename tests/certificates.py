"""Certificates made for a test, and endpoints to which no secure connection is possible."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import ScriptedServer


class Certificates:
    """Makes certificates; each file holds the key as well."""

    def __init__(self, folder: Any) -> None:
        self._folder = folder
        self._authority = self._made("an authority", None, None, (-2, 2), is_authority=True)
        self.authority = self._write("authority", self._authority)

    def one(self, name: str, *, of: str, signed_by: str = "the authority", days: tuple[float, float] = (-1, 1)) -> Any:
        """The file of a certificate for a host name or an IP address, valid from so many days on, to so many.

        Signed by ``"the authority"``, by ``"itself"``, or by ``"a chain"``: the authority, whose own comes with it.
        """
        issuer = None if signed_by == "itself" else self._authority
        made = self._made(name, of, issuer, days)
        return self._write(name, made, *([self._authority] if signed_by == "a chain" else []))

    def _made(
        self, name: str, of: str | None, issuer: Any, days: tuple[float, float], *, is_authority: bool = False
    ) -> Any:
        import datetime
        import ipaddress

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer[1].subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=days[0]))
            .not_valid_after(now + datetime.timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if of is not None:
            digits = of.replace(".", "").isdigit()
            host = x509.IPAddress(ipaddress.ip_address(of)) if digits else x509.DNSName(of)
            made = made.add_extension(x509.SubjectAlternativeName([host]), critical=False)
        return key, made.sign(issuer[0] if issuer else key, hashes.SHA256())

    def _write(self, name: str, *made: Any) -> Any:
        from cryptography.hazmat.primitives import serialization as s

        path = self._folder / f"{name}.pem"
        key = made[0][0].private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
        path.write_bytes(key + b"".join(each[1].public_bytes(s.Encoding.PEM) for each in made))
        return path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: Any) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key, in one file."""
    pytest.importorskip("cryptography")
    path: Path = Certificates(tmp_path_factory.mktemp("tls")).one("server", of="127.0.0.1", signed_by="itself")
    return path


@pytest.fixture
def tls_trouble(
    server: ScriptedServer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], tuple[str, tuple[str, ...]]]]:
    """Starts an endpoint to which no secure connection is possible, and gives its URL and words of the reason."""
    pytest.importorskip("cryptography")
    certificates = Certificates(tmp_path)
    listeners: list[socket.socket] = []

    def listen(certificate: Any, **settings: Any) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.load_verify_locations(certificates.authority)
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # old versions of TLS are
            for name, value in settings.items():
                setattr(context, name, value)
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            while True:
                try:
                    connection = listener.accept()[0]
                except OSError:  # the test is over
                    return
                secure = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                secure.settimeout(10)
                with secure:
                    try:
                        secure.do_handshake()
                        secure.recv(65536)
                    except OSError:
                        # Until the client has read why: a reset could reach it before.
                        with contextlib.suppress(OSError):
                            while socket.socket.recv(secure, 65536):
                                pass

        threading.Thread(target=serve, daemon=True).start()
        return f"https://127.0.0.1:{listener.getsockname()[1]}"

    def start(kind: str) -> tuple[str, tuple[str, ...]]:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates.authority))
        trusted = "AWS_CA_BUNDLE"
        if kind == "missing CA file":
            monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "nowhere.pem"))
            return listen(certificates.one("a", of="127.0.0.1")), ("AWS_CA_BUNDLE names is not there",)
        if kind == "CA file without certificates":
            (tmp_path / "text.pem").write_text("no certificate")
            monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "text.pem"))
            return listen(certificates.one("a", of="127.0.0.1")), ("is not a PEM file", "AWS_CA_BUNDLE")
        if kind == "plain HTTP":
            return server.url.replace("http:", "https:"), ("does not speak TLS on this port", "http://")
        if kind == "another address":
            return listen(certificates.one("a", of="127.0.0.2")), ("for another name", "host name of the endpoint")
        if kind == "another name":
            url = listen(certificates.one("a", of="other.example")).replace("127.0.0.1", "localhost")
            return url, ("for another name", "host name of the endpoint")
        if kind == "unknown issuer":
            monkeypatch.delenv("AWS_CA_BUNDLE")
            return listen(certificates.one("a", of="127.0.0.1")), ("issuer", "unknown here", trusted, "proxy")
        if kind == "unknown authority in the chain":
            monkeypatch.delenv("AWS_CA_BUNDLE")
            chain = certificates.one("a", of="127.0.0.1", signed_by="a chain")
            return listen(chain), ("issuer", "unknown here", trusted)
        if kind == "self-signed":
            return listen(certificates.one("a", of="127.0.0.1", signed_by="itself")), ("self-signed", trusted)
        if kind == "expired":
            return listen(certificates.one("a", of="127.0.0.1", days=(-2, -1))), ("has expired", "renewed", "clock")
        if kind == "not yet valid":
            return listen(certificates.one("a", of="127.0.0.1", days=(1, 2))), ("not valid yet", "clock")
        good = certificates.one("a", of="127.0.0.1")
        if kind == "old TLS":
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
                old = ssl.TLSVersion.TLSv1_1
            return listen(good, maximum_version=old), ("TLS 1.2",)
        version = {"maximum_version": ssl.TLSVersion.TLSv1_2} if kind.endswith("TLS 1.2") else {}
        return listen(good, verify_mode=ssl.CERT_REQUIRED, **version), ("wants a client certificate",)

    yield start
    for listener in listeners:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


TLS_TROUBLES = (
    "missing CA file",
    "CA file without certificates",
    "plain HTTP",
    "another address",
    "another name",
    "unknown issuer",
    "unknown authority in the chain",
    "self-signed",
    "expired",
    "not yet valid",
    "old TLS",
    "client certificate, TLS 1.2",
    "client certificate, TLS 1.3",
)
