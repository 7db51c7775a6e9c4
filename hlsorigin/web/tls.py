"""The public listener's certificate: checked at the start, taken again when it is renewed."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from hlsorigin.errors import SettingsError

_log = structlog.stdlib.get_logger("hlsorigin.web")

#: By preference (RFC 7301 3.2): Apple's players take Low-Latency HLS over HTTP/2 only.
ALPN_PROTOCOLS: Final = ("h2", "http/1.1")
_OTHERS_MAY_READ: Final = 0o004

#: Modification time in ns and inode of both files; a renewal changes one of them.
_Stamp: TypeAlias = tuple[tuple[int, int], ...]


class Certificate:
    """A certificate chain with its key, as the TLS context that a listener uses.

    Raises (from the constructor):
        SettingsError: a file can't be read, isn't PEM, or the two don't belong together.
    """

    def __init__(self, certificate_path: str, key_path: str) -> None:
        self._certificate = Path(certificate_path)
        self._key = Path(key_path)
        self._check_text()
        self._stamp = self._read_stamp()
        self.context: Final = self._load()
        if self._key.stat().st_mode & _OTHERS_MAY_READ:
            _log.warning(
                "tls_key_readable", path=key_path, detail="every user may read it: chmod o-r"
            )

    def renew(self) -> bool:
        """Take the files again if they changed; connections that are open keep what they have.

        Files that don't fit (a renewal that is half done) are told and tried again.

        Returns:
            Whether new connections now get another certificate.
        """
        try:
            stamp = self._read_stamp()
            if stamp == self._stamp:
                return False
            self._check_text()
            self._load()
            self.context.load_cert_chain(self._certificate, self._key, _no_passphrase)
        except (SettingsError, OSError) as err:
            _log.warning("tls_not_renewed", detail=f"the old certificate stays in use: {err}")
            return False
        self._stamp = stamp
        _log.info("tls_renewed", path=str(self._certificate))
        return True

    def _read_stamp(self) -> _Stamp:
        stats = [path.stat() for path in (self._certificate, self._key)]
        return tuple((stat.st_mtime_ns, stat.st_ino) for stat in stats)

    def _check_text(self) -> None:
        """Say which of the two files is the wrong one; OpenSSL does not."""
        certificate = _read("http.tls_certificate", self._certificate)
        if b"-----BEGIN CERTIFICATE-----" not in certificate:
            raise SettingsError(
                f"http.tls_certificate: {self._certificate}: holds no certificate in PEM form"
            )
        key = _read("http.tls_key", self._key)
        if b"PRIVATE KEY-----" not in key:
            raise SettingsError(f"http.tls_key: {self._key}: holds no private key in PEM form")
        if b"ENCRYPTED" in key:
            raise SettingsError(
                f"http.tls_key: {self._key}: is locked with a passphrase: "
                "write it without one (openssl pkey -in KEY -out PLAIN)"
            )

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 9113 9.2
        context.set_alpn_protocols(list(ALPN_PROTOCOLS))
        try:
            context.load_cert_chain(self._certificate, self._key, _no_passphrase)
        except ssl.SSLError as err:
            if err.reason == "KEY_VALUES_MISMATCH":
                raise SettingsError(
                    f"http.tls_key: {self._key}: is not the key of the first certificate "
                    f"in {self._certificate}"
                ) from err
            raise SettingsError(
                f"http.tls_certificate: {self._certificate} with http.tls_key {self._key}: "
                f"not usable: {err.reason or err}"
            ) from err
        return context


def load_certificate(certificate_path: str, key_path: str) -> Certificate | None:
    """Load what the settings name; None when they name nothing (plain HTTP).

    Raises:
        SettingsError: see ``Certificate``.
    """
    return Certificate(certificate_path, key_path) if certificate_path else None


def _no_passphrase() -> str:
    # Without this OpenSSL would ask on the terminal.
    return ""


def _read(key: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        raise SettingsError(f"{key}: {path}: can't be read: {err.strerror}") from err
