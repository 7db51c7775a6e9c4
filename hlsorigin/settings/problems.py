"""Validation errors as sentences for an operator: where, what is wrong, what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from hlsorigin.settings.layers import KeyPath, KeyTree, Layers, suggest

# Keyed by pydantic's error types; the rest speak through their own message.
_SENTENCES: Final = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be a table",
    "mapping_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "string_type": "must be a string in quotes",
}


def key_error(key: str, why: str) -> PydanticCustomError:
    """Make the error of a check over several keys; ``key`` is the one to be named."""
    return PydanticCustomError("key_error", "{why}", {"key": key, "why": why})


def describe_problems(err: ValidationError, layers: Layers, tree: KeyTree, place: str) -> list[str]:
    """Give a line per problem, in the order of the sections.

    Args:
        place: what stands in front when no source gave the key.
    """
    problems = [(_path_of(detail), _sentence(detail, tree)) for detail in err.errors()]
    known = set(problems)
    lines = []
    for path, sentence in problems:
        inherited = path[0] == "apps" and not layers.has(path)
        if inherited and (path[2:], sentence) in known:
            continue
        lines.append(f"{layers.origins.get(path, place)}: {'.'.join(path)}: {sentence}")
    return lines


def _path_of(detail: ErrorDetails) -> KeyPath:
    path = tuple(str(part) for part in detail["loc"] if part != "[key]")
    if detail["type"] == "key_error":
        return (*path, detail["ctx"]["key"])
    return path


def _sentence(detail: ErrorDetails, tree: KeyTree) -> str:
    kind = detail["type"]
    context: Mapping[str, Any] = detail.get("ctx", {})
    if kind == "extra_forbidden":
        path = _path_of(detail)
        return f"unknown key; {suggest(path[-1], _keys_at(tree, path[:-1]))}"
    if kind == "literal_error":
        return f"must be {context['expected']}".replace("'", '"')
    if kind == "value_error":
        return str(context["error"])
    return _SENTENCES.get(kind, detail["msg"])


def _keys_at(tree: KeyTree, path: KeyPath) -> KeyTree:
    node = tree
    for name in path:
        node = node.get(name) or node.get("*") or {}
    return node
