from __future__ import annotations

from iam_guard.authn.http_request import HttpRequest

REQUEST = HttpRequest("GET", b"/a", b"token=hush", ((b"a", b"1"), (b"authorization", b"hush"), (b"a", b"2")))


def test_repeated_header_keeps_its_order() -> None:
    """All values of a name in order; an absent name has none."""
    assert list(REQUEST.values(b"a")) == [b"1", b"2"]
    assert list(REQUEST.values(b"b")) == []


def test_request_repr_hides_secrets() -> None:
    """Headers and query contain credentials and are not in the repr."""
    assert "hush" not in repr(REQUEST)
    assert "/a" in repr(REQUEST)
