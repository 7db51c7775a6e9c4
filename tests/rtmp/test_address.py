"""Where encoders put app, stream and parameters."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from hlsorigin.errors import RtmpError
from hlsorigin.rtmp.address import MAX_PARAMS, parse_publish_address

URL = "rtmp://host/live"


@pytest.mark.parametrize(
    ("app", "tc_url", "key", "expected"),
    [
        pytest.param("live", URL, "room", ("live", "room", {}), id="plain"),
        pytest.param("live", URL, "room?k=1", ("live", "room", {"k": "1"}), id="OBS: on the key"),
        pytest.param("live?k=1", URL, "room", ("live", "room", {"k": "1"}), id="on the app"),
        pytest.param("live", URL + "?k=1", "room", ("live", "room", {"k": "1"}), id="on tcUrl"),
        pytest.param(
            "live?k=app&a=1",
            URL + "?k=url&u=2",
            "room?k=key",
            ("live", "room", {"k": "key", "a": "1", "u": "2"}),
            id="the key wins, then the app",
        ),
        pytest.param(
            "live?k=app", URL + "?k=url", "room", ("live", "room", {"k": "app"}), id="app over url"
        ),
        pytest.param("live/", URL, "/room", ("live", "room", {}), id="slashes"),
        pytest.param("/live/?k=1", URL, "room", ("live", "room", {"k": "1"}), id="slash and query"),
        pytest.param("live/_definst_", URL, "room", ("live", "room", {}), id="default instance"),
        pytest.param("live/_definst_/", URL, "room", ("live", "room", {}), id="and a slash"),
        pytest.param(
            "live", URL, "room1%3Fkey%3Dabc", ("live", "room1", {"key": "abc"}), id="encoded key"
        ),
        pytest.param(
            "live", URL, "r%3fkey%3dabc%26e%3d1", ("live", "r", {"key": "abc", "e": "1"}), id="more"
        ),
        pytest.param(
            "live", URL, "r?t=a%3Db%26c", ("live", "r", {"t": "a=b&c"}), id="encoded value"
        ),
        pytest.param("live", URL, "r?a=&b", ("live", "r", {"a": "", "b": ""}), id="blank values"),
        pytest.param("", URL + "?k=1", "r", ("live", "r", {"k": "1"}), id="app only in tcUrl"),
        pytest.param("", "", "", ("", "", {}), id="nothing"),
        pytest.param("a/b", URL, "r", ("a/b", "r", {}), id="not checked here"),
    ],
)
def test_places(app: str, tc_url: str, key: str, expected: tuple[str, str, dict[str, str]]) -> None:
    address = parse_publish_address(app, tc_url, key)
    assert (address.app, address.stream, address.params) == expected


def test_number_of_parameters_is_bounded() -> None:
    query = "&".join(f"p{number}=1" for number in range(MAX_PARAMS))
    assert len(parse_publish_address("live", URL, f"r?{query}").params) == MAX_PARAMS
    with pytest.raises(RtmpError, match="parameters"):
        parse_publish_address("live", URL, f"r?{query}&more=1")


@given(st.text(), st.text(), st.text())
def test_any_text(app: str, tc_url: str, key: str) -> None:
    try:
        parse_publish_address(app, tc_url, key)
    except RtmpError:
        pass
