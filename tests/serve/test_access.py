import pytest

from bothways.errors import ConfigError
from bothways.serve.access import (
    Token,
    allowed_hosts,
    check_address,
    host_name,
    is_loopback,
    read_token,
)

SECRET = "0123456789abcdef"


def test_a_token_is_found_in_the_header(tmp_path):
    (tmp_path / "token").write_text(f"  {SECRET}\n")
    token = read_token(tmp_path / "token")
    assert token.is_in(f"Bearer {SECRET}".encode())
    assert token.is_in(f"bearer  {SECRET}".encode())
    for wrong in (
        b"",
        b"Bearer",
        SECRET.encode(),
        f"Basic {SECRET}".encode(),
        f"Bearer {SECRET}x".encode(),
        b"Bearer \xff\xfe",
    ):
        assert not token.is_in(wrong)
    assert SECRET not in repr(token)


@pytest.mark.parametrize(
    "content", [b"", b"short", b"two words of a secret", b"\xff" * 20, b"a" * 5000]
)
def test_a_bad_token_file_is_refused(tmp_path, content):
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(
        ConfigError, match=r"token of \d+ characters; expected 16 to 4,096"
    ) as error:
        read_token(tmp_path / "token")
    assert content.decode("latin-1") not in str(error.value) or not content


def test_a_missing_token_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="nothing cannot be read: No such file"):
        read_token(tmp_path / "nothing")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.1.2.3"])
def test_loopback_addresses_need_no_token(host):
    assert is_loopback(host)
    check_address(host, None, insecure=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_other_addresses_need_a_token(host):
    with pytest.raises(ConfigError, match="there is no token: everyone who reaches"):
        check_address(host, None, insecure=False)
    check_address(host, Token(SECRET.encode()), insecure=False)
    check_address(host, None, insecure=True)
    assert allowed_hosts(host) is None


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (b"localhost:8000", "localhost"),
        (b"LOCALHOST", "localhost"),
        (b"127.0.0.1:80", "127.0.0.1"),
        (b"[::1]:80", "[::1]"),
        (b"[::1]", "[::1]"),
        (b"evil.example:8000", "evil.example"),
        (b"", ""),
    ],
)
def test_names_of_hosts(header, name):
    assert host_name(header) == name
    allowed = allowed_hosts("127.0.0.1")
    assert (name in allowed) == (name in ("localhost", "127.0.0.1", "[::1]"))
