"""Keys of the public contract whose features are still to come.

A configuration that names them at their defaults loads; anything else is refused. Taking a rule
that keeps viewers or publishers out, and not applying it, would be worse than any error.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict


def _must_be_off(value: object) -> object:
    if value:
        raise ValueError("is not available yet: leave it out")
    return value


#: An empty list and nothing else.
NoList: TypeAlias = Annotated[tuple[str, ...], AfterValidator(_must_be_off)]
#: An empty string and nothing else.
NoText: TypeAlias = Annotated[str, AfterValidator(_must_be_off)]


class _Planned(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class AuthPublishSettings(_Planned):
    """Who may publish."""

    schemes: NoList = ()


class AuthPlaySettings(_Planned):
    """Who may play."""

    schemes: NoList = ()
    session_ttl: Literal["12h"] = "12h"


class AuthSettings(_Planned):
    """Access schemes."""

    publish: AuthPublishSettings = AuthPublishSettings()
    play: AuthPlaySettings = AuthPlaySettings()


class RefererSettings(_Planned):
    """Referer rules."""

    allow: NoList = ()
    deny: NoList = ()
    allow_empty: Literal[True] = True
    scope: Literal["playlist"] = "playlist"
    report_only: Literal[False] = False


class OriginPullSettings(_Planned):
    """CDNs that skip the checks for viewers."""

    secrets: NoList = ()
    cidrs: NoList = ()


class HooksSettings(_Planned):
    """HTTP hooks."""

    on_publish: NoText = ""
    on_unpublish: NoText = ""
    on_play: NoText = ""
    on_hls: NoText = ""
    format: Literal["native"] = "native"
