"""The blocking half of the disk store: what happens to files and folders, called in threads.

Laws of this file:

1. Under its final name a file is whole: it is written under a temporary name and renamed.
2. Only folders with our marker are swept, and in them only names of our own making.
3. Whatever the operating system refuses becomes a ``StoreError`` that names operation and path.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final, Literal, TypeAlias

from hlsorigin.errors import StoreError

#: ``never``: the kernel writes when it likes. ``data``: fdatasync before the rename. ``full``: the
#: folder too. All three survive the end of the process; the latter two aim at a power cut.
FsyncPolicy: TypeAlias = Literal["never", "data", "full"]

#: Says "made by hlsorigin"; without it a folder is somebody else's.
MARKER: Final = ".hlsorigin"
LOCK_FILE: Final = ".hlsorigin.lock"
TEMPORARY_PREFIX: Final = ".tmp-"
PLAYLIST_SUFFIX: Final = ".m3u8"

_NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_RESOURCE_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,200}")
# As hls/naming.py makes them; a poster.jpg that an operator laid beside them does not match.
_SEGMENT_PATTERN: Final = re.compile(r"([a-z0-9]+)-[a-z0-9]+-([0-9]{1,20})\.[a-z][a-z0-9]*")
_INIT_PATTERN: Final = re.compile(r"([a-z0-9]+)-[a-z0-9]+-i([0-9]{1,20})\.mp4")
_MEDIA_PLAYLIST_PATTERN: Final = re.compile(r"([av][0-9]{1,3})\.m3u8")

_fdatasync: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)  # none on macOS
_FILE_MODE: Final = 0o644  # other web servers, under another user, serve the folder as it is
_FOLDER_MODE: Final = 0o755


@dataclass(frozen=True, slots=True)
class FolderContent:
    """What an owned stream folder holds, by kind of name."""

    #: Sizes in bytes of files named like our segments and init sections.
    resources: Mapping[str, int]
    #: Sizes in bytes of files that may be ours, if a playlist of ours names them.
    others: Mapping[str, int]
    #: Renditions that have a media playlist: ``v0`` for v0.m3u8.
    renditions: Sequence[str]


@dataclass(frozen=True, slots=True)
class ResourceName:
    """What the name of a resource of ours says."""

    rendition: str
    #: Of the segment; of an init section: its running number.
    msn: int
    is_init: bool


def why_stream_name_is_unsafe(stream_name: str) -> str | None:
    """Say why a stream name can't become a path; None when it can."""
    parts = stream_name.split("/")
    if len(parts) == 2 and all(_NAME_PATTERN.fullmatch(part) for part in parts):
        return None
    return f"stream name {stream_name[:280]!r} can't be a folder: it must be app/stream"


def why_resource_is_unsafe(resource: str) -> str | None:
    """Say why a resource name can't become a file name; None when it can."""
    if _RESOURCE_PATTERN.fullmatch(resource):
        return None
    return f"resource name {resource[:220]!r} can't be a file name of the store"


def parse_resource(resource: str) -> ResourceName | None:
    """Take apart the name of a segment or an init section; None when it is neither's."""
    for pattern in (_SEGMENT_PATTERN, _INIT_PATTERN):
        if (match := pattern.fullmatch(resource)) is not None:
            return ResourceName(match[1], int(match[2]), is_init=pattern is _INIT_PATTERN)
    return None


def lock_root(root: Path) -> int:
    """Make the root if need be and lock it for this process; give the lock's descriptor.

    Raises:
        StoreError: another process holds it, or the system refused.
    """
    with os_errors("make folder", root):
        root.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    path = root / LOCK_FILE
    with os_errors("lock", path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, _FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (root / MARKER).touch(_FILE_MODE)
        except BlockingIOError as err:
            os.close(descriptor)
            raise StoreError(f"another hlsorigin process uses {root} (it holds {path})") from err
        except OSError:
            os.close(descriptor)
            raise
    return descriptor


def owned_streams(root: Path) -> Sequence[str]:
    """Give the names of the streams whose folders carry our marker. Raises StoreError."""
    names: list[str] = []
    with os_errors("list", root):
        for app in _folders_in(root):
            # An operator's own folder beside ours may be closed to us.
            with suppress(PermissionError):
                names += [f"{app.name}/{each.name}" for each in _folders_in(app) if _is_ours(each)]
    return names


def list_content(folder: Path) -> FolderContent:
    """Say what an owned folder holds. Raises StoreError."""
    resources: dict[str, int] = {}
    others: dict[str, int] = {}
    renditions: list[str] = []
    with os_errors("list", folder), os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if why_resource_is_unsafe(name) or not entry.is_file(follow_symlinks=False):
                continue
            if name.endswith(PLAYLIST_SUFFIX):
                if (match := _MEDIA_PLAYLIST_PATTERN.fullmatch(name)) is not None:
                    renditions.append(match[1])
            else:
                sizes = others if parse_resource(name) is None else resources
                sizes[name] = entry.stat(follow_symlinks=False).st_size
    return FolderContent(resources, others, sorted(renditions))


def sweep_temporaries(folder: Path) -> None:
    """Remove what an earlier process left half-written in an owned folder. Raises StoreError."""
    remove_files(folder, [name for name in _names_in(folder) if name.startswith(TEMPORARY_PREFIX)])


def claim_folder(folder: Path, fsync: FsyncPolicy, app_lock: Lock) -> None:
    """Make a stream's folder ours: new, empty, or ours already.

    ``app_lock`` is one per root: without it, the last stream of an app that leaves would take the
    app's folder from under the next one that comes.

    Raises:
        StoreError: it is there, holds files and has no marker, or the system refused.
    """
    with os_errors("make folder", folder):
        with app_lock:
            for path in (folder.parent, folder):
                with suppress(FileExistsError):
                    path.mkdir(mode=_FOLDER_MODE)
                    path.chmod(_FOLDER_MODE)  # mkdir's mode is cut by the umask
        if _is_ours(folder):
            return
        if any(folder.iterdir()):
            raise StoreError(f"folder {folder} holds files and was not made by hlsorigin")
        (folder / MARKER).touch(_FILE_MODE)
        if fsync == "full":
            for path in (folder, folder.parent, folder.parent.parent):
                _fsync_folder(path)


def write_file(
    folder: Path, resource: str, data: bytes, fsync: FsyncPolicy, app_lock: Lock
) -> None:
    """Write a file that is seen whole or not at all, replacing an older one of that name.

    A folder that somebody removed meanwhile is made again.

    Raises:
        StoreError: the system refused (no space, no permission); no temporary file stays.
    """
    with os_errors("write", folder / resource):
        try:
            _write_and_rename(folder, resource, data, fsync)
        except FileNotFoundError:
            claim_folder(folder, fsync, app_lock)
            _write_and_rename(folder, resource, data, fsync)


def read_file(path: Path, size_bytes: int) -> bytes:
    """Give the bytes of a file that must have ``size_bytes``. Raises StoreError."""
    with os_errors("read", path), path.open("rb") as file:
        # One byte more than asked for: a file that has grown is as wrong as one that was cut.
        data = file.read(size_bytes + 1)
    if len(data) != size_bytes:
        raise StoreError(f"{path} no longer has the {size_bytes} bytes that were put there")
    return data


def remove_files(folder: Path, names: Sequence[str]) -> None:
    """Remove files; those already gone are fine.

    Raises:
        StoreError: the system refused one; the others were removed.
    """
    refusal: StoreError | None = None
    for name in names:
        try:
            with os_errors("remove", folder / name):
                (folder / name).unlink(missing_ok=True)
        except StoreError as err:
            refusal = err
    if refusal is not None:
        raise refusal


def remove_folder(folder: Path, resources: Sequence[str], app_lock: Lock) -> None:
    """Remove our files of a stream, and the folders when nothing else is in them.

    The marker leaves last, and stays when foreign files do: a folder that we once owned must
    remain ours, or its stream could never be published again. Raises StoreError.
    """
    with os_errors("look into", folder):
        if not _is_ours(folder):
            return
    ours = [name for name in _names_in(folder) if _is_name_of_ours(name)]
    remove_files(folder, [*resources, *ours])
    with os_errors("remove", folder):
        if any(path.name != MARKER for path in folder.iterdir()):
            return
        (folder / MARKER).unlink(missing_ok=True)
        folder.rmdir()
        with app_lock, suppress(OSError):  # other streams of the app, usually
            folder.parent.rmdir()


@contextmanager
def os_errors(operation: str, path: Path) -> Iterator[None]:
    """Turn what the operating system refuses into a StoreError."""
    try:
        yield
    except OSError as err:
        name = errno.errorcode.get(err.errno or 0, "no errno")
        raise StoreError(f"can't {operation} {path}: {err.strerror or err} ({name})") from err


def _write_and_rename(folder: Path, resource: str, data: bytes, fsync: FsyncPolicy) -> None:
    # The root's lock and the stream's leave one writer per name, so neither a number nor O_EXCL.
    temporary = folder / f"{TEMPORARY_PREFIX}{resource}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    descriptor = os.open(temporary, flags, _FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            os.fchmod(descriptor, _FILE_MODE)  # the mode given to open is cut by the umask
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            if fsync != "never":
                _fdatasync(descriptor)
        temporary.replace(folder / resource)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
    if fsync == "full":
        _fsync_folder(folder)


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_ours(folder: Path) -> bool:
    return (folder / MARKER).is_file()


def _is_name_of_ours(name: str) -> bool:
    if name.startswith(TEMPORARY_PREFIX):
        return True
    if why_resource_is_unsafe(name):
        return False
    return name.endswith(PLAYLIST_SUFFIX) or parse_resource(name) is not None


def _names_in(folder: Path) -> Sequence[str]:
    with os_errors("list", folder):
        return [path.name for path in folder.iterdir()]


def _folders_in(folder: Path) -> Sequence[Path]:
    return sorted(
        path for path in folder.iterdir() if _NAME_PATTERN.fullmatch(path.name) and path.is_dir()
    )
