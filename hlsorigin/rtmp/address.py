"""Which stream a publish means, and the parameters it brings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote

from hlsorigin.errors import RtmpError

#: Tokens, signatures, expiry, vhost: encoders bring a handful.
MAX_PARAMS: Final = 64

_ENCODED_QUESTION_MARK: Final = re.compile("%3f", re.IGNORECASE)
#: Flash Media Server's name of an app's default instance.
_DEFAULT_INSTANCE: Final = "/_definst_"
_URL_PATH: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?]*/?([^?]*)")


@dataclass(frozen=True, slots=True)
class PublishAddress:
    """App, stream and parameters, taken apart but not checked."""

    #: Without query, slashes around it and default instance; may be empty.
    app: str
    #: The stream key without its query; may be empty.
    stream: str
    #: Parameters of tcUrl, app and stream key together.
    params: dict[str, str]


def parse_publish_address(app: str, tc_url: str, stream_key: str) -> PublishAddress:
    """Take the three places apart where encoders put names and parameters.

    A parameter of the stream key wins over the same one of the app, and that over tcUrl's. Of a
    parameter given twice in one place the last counts. An encoder that leaves ``app`` out gets
    the path of its tcUrl.

    Args:
        app: of ``connect``: ``live``, ``live?token=1``, ``live/_definst_``, ...
        tc_url: of ``connect``: ``rtmp://host/live?token=1``.
        stream_key: of ``publish``: ``room?token=1``, ``room%3Ftoken%3D1``, ...
    Raises:
        RtmpError: more than ``MAX_PARAMS`` parameters in one place.
    """
    url_name, url_query = _split_query(tc_url)
    app_name, app_query = _split_query(app)
    stream, key_query = _split_query(stream_key)
    if not app_name.strip("/"):
        match = _URL_PATH.match(url_name)
        app_name = match[1] if match else ""
    params: dict[str, str] = {}
    for query in (url_query, app_query, key_query):
        params.update(_parse_query(query))
    app_name = app_name.strip("/").removesuffix(_DEFAULT_INSTANCE).rstrip("/")
    return PublishAddress(app_name, stream.lstrip("/"), params)


def _split_query(text: str) -> tuple[str, str]:
    if "?" not in text and _ENCODED_QUESTION_MARK.search(text):
        # Encoders with a form for the stream key percent-encode all of it.
        text = unquote(text)
    name, _, query = text.partition("?")
    return name, query


def _parse_query(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_PARAMS)
    except ValueError as err:
        raise RtmpError(f"more than {MAX_PARAMS} parameters in a publish address") from err
