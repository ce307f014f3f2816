"""Who may use the server: bearer tokens, addresses and host names."""

import hmac
import ipaddress
from pathlib import Path

from bothways.errors import ConfigError

_LEAST_TOKEN, _LONGEST_TOKEN = 16, 4096
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Token:
    """A secret that requests contain in their header `Authorization: Bearer …`.

    Parameters
    ----------
    secret : bytes
    """

    def __init__(self, secret: bytes) -> None:
        self._expected = b"bearer " + secret

    def __repr__(self) -> str:
        return "Token(…)"

    def is_in(self, authorization: bytes) -> bool:
        """Return whether a header contains this token; the time does not depend on its content."""
        scheme, _, secret = authorization.partition(b" ")
        return hmac.compare_digest(scheme.lower() + b" " + secret.strip(), self._expected)


def read_token(path: Path) -> Token:
    """Return the token in a file; white space around it is ignored.

    Raises
    ------
    ConfigError
        If the file cannot be read, or does not contain a token of 16 to 4096 printable characters.
    """
    try:
        with path.open("rb") as file:
            secret = file.read(_LONGEST_TOKEN + 1).strip()
    except OSError as error:
        raise ConfigError(
            f"token file {path} cannot be read: {error.strerror}; expected a text file. Check the "
            "path."
        ) from None
    printable = all(0x21 <= sign <= 0x7E for sign in secret)
    if not printable or not _LEAST_TOKEN <= len(secret) <= _LONGEST_TOKEN:
        raise ConfigError(
            f"token file {path} has a token of {len(secret)} characters; expected "
            f"{_LEAST_TOKEN} to {_LONGEST_TOKEN:,} letters, digits and signs without spaces. "
            "Create one: openssl rand -hex 32"
        )
    return Token(secret)


def is_loopback(host: str) -> bool:
    """Return whether only programs on this machine can connect to an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_address(host: str, token: Token | None, insecure: bool) -> None:
    """Raise ConfigError if other machines could use the server without a token."""
    if not insecure and token is None and not is_loopback(host):
        raise ConfigError(
            f"host is {host!r} but there is no token: everyone who reaches this address could use "
            "the model; expected a token, or a loopback address. Add --token-file FILE, or "
            "--insecure if a proxy protects the server."
        )


def allowed_hosts(host: str) -> frozenset[str] | None:
    """Return the names that requests to a loopback address may have in their header `Host`.

    Other names come from web pages that make a browser send requests to this machine (DNS
    rebinding). None means any name: other addresses have names that the server does not know.
    """
    if not is_loopback(host):
        return None
    return _LOOPBACK_NAMES | {f"[{host}]" if ":" in host else host}


def host_name(header: bytes) -> str:
    """Return a `Host` header without its port, in lower case."""
    text = header.decode("latin-1").lower()
    name, colon, port = text.rpartition(":")
    return name if colon and not port.endswith("]") else text
