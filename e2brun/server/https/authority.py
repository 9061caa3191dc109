"""The service's own certificate authority, for names below its domain and no others.

Kept in the state directory, its key for the user alone (0600), so that what was told to trust it
still does after a restart. Nobody's system trust store is changed.
"""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from e2brun.errors import UsageError
from e2brun.private import write_private

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate, CertificateBuilder
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError as error:  # of the extra; only `--https` and `--print-ca` import this module
    message = "--https makes certificates, and needs the package cryptography"
    raise UsageError(message, hint="pip install 'e2brun[https]'") from error

DOMAIN = "e2b.localhost"  # two labels: OpenSSL takes no wildcard below one
_NAMES = (DOMAIN, f"*.{DOMAIN}", "localhost")
_KEY, _CERTIFICATE, _BUNDLE = "key.pem", "ca.pem", "bundle.pem"
_YEARS, _LEAF_DAYS, _RENEW_DAYS = 10, 90, 180
_SYSTEM = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora
    "/etc/ssl/cert.pem",
)


class Authority:
    """The authority whose files are in `directory`, made where it is missing or runs out."""

    def __init__(self, directory: Path) -> None:
        """Raises UsageError where the files cannot be used."""
        self._directory = directory
        with UsageError.of_system(f"--https: {directory}"):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory.chmod(0o700)
            self._key, self._certificate = self._load() or self._make()

    @property
    def certificate(self) -> Path:
        """What clients are to trust, as PEM."""
        return self._directory / _CERTIFICATE

    def bundle(self, extra: Path | None) -> Path:
        """A file with it, and everything that is trusted without it: `extra`, or the system's."""
        known = [extra] if extra is not None else [Path(name) for name in _SYSTEM]
        trusted = next((path.read_bytes() for path in known if path.is_file()), b"")
        path = self._directory / _BUNDLE
        write_private(path, trusted.rstrip() + b"\n" + self.certificate.read_bytes())
        return path

    def context(self) -> ssl.SSLContext:
        """TLS for the domain's names, with a certificate made now."""
        key = ec.generate_private_key(ec.SECP256R1())
        chain = _pem(self._leaf(key)) + _pem(self._certificate)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.set_alpn_protocols(["http/1.1"])
        memory = os.memfd_create("certificate")  # nothing of the key on a disk
        try:
            os.write(memory, _secret(key) + chain)
            context.load_cert_chain(f"/proc/self/fd/{memory}")
        finally:
            os.close(memory)
        return context

    def _leaf(self, key: EllipticCurvePrivateKey) -> Certificate:
        names = x509.SubjectAlternativeName([x509.DNSName(name) for name in _NAMES])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            _builder(key, DOMAIN, _LEAF_DAYS)
            .issuer_name(self._certificate.subject)
            .add_extension(names, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=False)
            .add_extension(identifier, critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _load(self) -> tuple[EllipticCurvePrivateKey, Certificate] | None:
        try:
            raw = (self._directory / _KEY).read_bytes()
            key = serialization.load_pem_private_key(raw, None)
            certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        soon = datetime.now(UTC) + timedelta(days=_RENEW_DAYS)
        if not isinstance(key, EllipticCurvePrivateKey):
            return None
        fits = certificate.public_key() == key.public_key()
        return (key, certificate) if fits and certificate.not_valid_after_utc > soon else None

    def _make(self) -> tuple[EllipticCurvePrivateKey, Certificate]:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(key, "e2brun, this machine only", 365 * _YEARS)
        # Whoever steals the key can stand for nobody but this service.
        limits = x509.NameConstraints([x509.DNSName(DOMAIN), x509.DNSName("localhost")], None)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        certificate = (
            builder.issuer_name(_name("e2brun, this machine only"))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(limits, critical=True)
            .add_extension(_signing(), critical=True)
            .add_extension(identifier, critical=False)
            .sign(key, hashes.SHA256())
        )
        write_private(self._directory / _KEY, _secret(key))
        write_private(self.certificate, _pem(certificate))
        return key, certificate


def _builder(key: EllipticCurvePrivateKey, name: str, days: int) -> CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _signing() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _secret(key: EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _pem(certificate: Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
