"""Where settings come from: a TOML file and the environment, laid over each other.

Nothing here knows what a key means. The result is a tree of raw values, for every key the place
it came from, and the problems met on the way: an operator wants to see them all at once.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from pydantic_settings import BaseSettings, TomlConfigSettingsSource

from hlsorigin.errors import SettingsError

KeyPath: TypeAlias = tuple[str, ...]
#: Known keys: a section holds more of them, a key holds None. ``"*"`` stands for any name.
KeyTree: TypeAlias = Mapping[str, "KeyTree | None"]

ENVIRONMENT_PREFIX: Final = "HLSORIGIN_"
FILE_SUFFIX: Final = "_FILE"
#: A secret or a list of them; anything larger is the wrong file.
MAX_VALUE_FILE_BYTES: Final = 65_536

# A Kubernetes service called "hlsorigin" puts these into every pod of its namespace.
_KUBERNETES_SERVICE_LINK: Final = re.compile(r"(SERVICE_HOST|(SERVICE_)?PORT(_[A-Z0-9_]+)?)")
# Read by the test suite, whose servers inherit it.
_NOT_SETTINGS: Final = frozenset({"HLSORIGIN_REQUIRE_CLIENTS"})


@dataclass(slots=True)
class Layers:
    """Raw values of all sources, merged; the environment wins over the file."""

    values: dict[str, Any] = field(default_factory=dict)
    #: Which file or variable gave a key.
    origins: dict[KeyPath, str] = field(default_factory=dict)
    #: One line each.
    problems: list[str] = field(default_factory=list)

    def set(self, path: KeyPath, value: object, origin: str) -> None:
        """Put a value at a key's path; a later call wins."""
        section = self.values
        for name in path[:-1]:
            below = section.setdefault(name, {})
            if not isinstance(below, dict):
                # The file has a value where a section belongs: validation says so.
                return
            section = below
        section[path[-1]] = value
        self.origins[path] = origin

    def has(self, path: KeyPath) -> bool:
        """Say whether some source gives this key or section."""
        node: object = self.values
        for name in path:
            if not isinstance(node, dict) or name not in node:
                return False
            node = node[name]
        return True


def read_layers(
    model: type[BaseSettings], tree: KeyTree, path: Path | None, environ: Mapping[str, str]
) -> Layers:
    """Read the file and the environment.

    Raises:
        SettingsError: the file can't be read or is not TOML; nothing else is worth checking then.
    """
    layers = Layers()
    if path is not None:
        _lay(layers, (), _read_toml(model, path), str(path))
    _lay_environment(layers, tree, environ)
    return layers


def suggest(name: str, known: Iterable[str]) -> str:
    """Give ``did you mean ...?`` or the list of what is allowed."""
    names = sorted(set(known) - {"*"})
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    return f"allowed here: {', '.join(names)}"


def _read_toml(model: type[BaseSettings], path: Path) -> dict[str, Any]:
    try:
        if path.is_dir():
            raise IsADirectoryError(21, "is a directory")
        # The source takes a file that is not there for an empty one.
        path.stat()
        return TomlConfigSettingsSource(model, toml_file=path)()
    except OSError as err:
        raise SettingsError(f"{path}: can't be read: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise SettingsError(f"{path}: is not UTF-8 text (byte {err.start})") from err
    except tomllib.TOMLDecodeError as err:
        raise SettingsError(f"{path}: is not valid TOML: {err}") from err
    except RecursionError as err:
        raise SettingsError(f"{path}: is not valid TOML: nested too deep") from err


def _lay(layers: Layers, path: KeyPath, values: Mapping[str, Any], origin: str) -> None:
    for name, value in values.items():
        here = (*path, name)
        if isinstance(value, dict):
            if not value:
                layers.set(here, {}, origin)
            _lay(layers, here, value, origin)
        else:
            layers.set(here, value, origin)


def _lay_environment(layers: Layers, tree: KeyTree, environ: Mapping[str, str]) -> None:
    from_variable: dict[KeyPath, str] = {}
    for variable in sorted(environ):
        name = variable.removeprefix(ENVIRONMENT_PREFIX)
        if name == variable or variable in _NOT_SETTINGS:
            continue
        if _KUBERNETES_SERVICE_LINK.fullmatch(name):
            continue
        path = _resolve(tree, name, layers.values)
        value = environ[variable]
        if path is None and name.endswith(FILE_SUFFIX):
            path = _resolve(tree, name.removesuffix(FILE_SUFFIX), layers.values)
            if path is not None:
                text = _read_value_file(layers, variable, Path(value))
                if text is None:
                    continue
                value = text
        if path is None:
            hint = suggest(name, _variable_names(tree))
            if not hint.startswith("did"):
                hint = (
                    "sections and keys are joined by two underscores, as in HLSORIGIN_HTTP__LISTEN"
                )
            else:
                hint = hint.replace("mean ", f"mean {ENVIRONMENT_PREFIX}")
            layers.problems.append(f"{variable}: unknown variable; {hint}")
        elif path in from_variable:
            layers.problems.append(
                f"{variable}: {'.'.join(path)}: {from_variable[path]} sets it too; keep one of them"
            )
        else:
            from_variable[path] = variable
            layers.set(path, value, variable)


def _read_value_file(layers: Layers, variable: str, path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_VALUE_FILE_BYTES + 1)
        if len(data) > MAX_VALUE_FILE_BYTES:
            layers.problems.append(
                f"{variable}: {path} is larger than {MAX_VALUE_FILE_BYTES} bytes"
            )
            return None
        return data.decode().rstrip("\r\n")
    except OSError as err:
        layers.problems.append(f"{variable}: {path} can't be read: {err.strerror}")
    except UnicodeDecodeError:
        layers.problems.append(f"{variable}: {path} is not UTF-8 text")
    return None


def _resolve(tree: KeyTree, name: str, values: Mapping[str, Any]) -> KeyPath | None:
    """Find the key a variable names; the names of apps keep the letter case of the file."""
    path: list[str] = []
    node: KeyTree | None = tree
    here: object = values
    for part in name.split("__"):
        if node is None:
            return None
        key = part.lower()
        if "*" in node:
            known = here if isinstance(here, dict) else {}
            key = next((name for name in known if name.lower() == key), key)
            node = node["*"]
        elif key in node:
            node = node[key]
        else:
            return None
        here = here.get(key) if isinstance(here, dict) else None
        path.append(key)
    return tuple(path) if node is None else None


def _variable_names(tree: KeyTree) -> list[str]:
    names = []
    for key, below in tree.items():
        if below is None:
            names.append(key.upper())
        else:
            names += [f"{key.upper()}__{name}" for name in _variable_names(below)]
    return names
