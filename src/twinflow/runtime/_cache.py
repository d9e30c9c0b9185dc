"""Object code kept on disk, so that the second run of a program compiles nothing.

`TWINFLOW_CACHE` is the folder, or `off`; by default `twinflow` in the user's cache folder. A file is named by the hash
of all that decides its content (the IR, the processor, the versions), is written whole or not at all, and carries a
checksum: a damaged one is ignored and made again. The folder must belong to the user alone, since what lies in it is
executed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import threading
import time
from pathlib import Path

_MAGIC = b"twinflow kernel 2\n"
_DIGEST_NBYTES = hashlib.sha256().digest_size
_SUFFIX = ".kernel"
_STALE_TEMPORARY_S = 3600.0  # a temporary file this old belongs to a process that died while writing
_TOUCH_AFTER_S = 3600.0  # a use is noted at most this often: least-recently-used need not be exact


def _warn(message: str, *args: object) -> None:
    import logging  # costs every start more than all of this file

    logging.getLogger("twinflow.cache").warning(message, *args)


def default_cache_dir() -> Path | None:
    """The folder `TWINFLOW_CACHE` or the user's cache folder names; None if the cache is switched off."""
    named = os.environ.get("TWINFLOW_CACHE", "").strip()
    if named.lower() == "off":
        return None
    if named:
        return Path(named).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.expanduser("~")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "twinflow"


class KernelCache:
    """A bounded folder of byte strings by key, safe with many threads and processes.

    Nothing here raises for what the disk does: a folder that cannot be written, or a full disk, is logged once as a
    warning, and the program goes on without keeping more.

    Args:
        folder: where to keep the files (made if absent, readable by the user alone); None keeps nothing.
        max_nbytes: the least recently used files go when the sum is larger.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cache = KernelCache(folder)
    ...     cache.put("ab12", b"code")
    ...     cache.get("ab12")
    b'code'
    """

    def __init__(self, folder: str | os.PathLike[str] | None, max_nbytes: int = 512 * 2**20) -> None:
        self.folder = None if folder is None else Path(folder)
        self.max_nbytes = max_nbytes
        self._lock = threading.Lock()
        self._readable = self._writable = self.folder is not None
        self._warned = False
        self._prepared = False
        self._nbytes = -1  # unknown until the first write

    def get(self, key: str) -> bytes | None:
        """What was put under `key`; None if nothing was, or if it is damaged."""
        if not self._ready():
            return None
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        head = len(_MAGIC) + _DIGEST_NBYTES
        content = data[head:]
        if data[:head] != _MAGIC + hashlib.sha256(content).digest():
            _warn("kernel cache: %s is damaged; it is ignored and made again", path)
            return None
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _TOUCH_AFTER_S:
                os.utime(path)
        return content

    def put(self, key: str, content: bytes) -> None:
        """Keep `content` under `key`, replacing what was there."""
        if not self._ready() or not self._writable:
            return
        path = self._path(key)
        data = _MAGIC + hashlib.sha256(content).digest() + content
        temporary = path.with_name(f"{os.getpid()}-{os.urandom(8).hex()}.part")
        try:
            for folder in (path.parent.parent, path.parent):  # again each time: someone may have cleared the cache
                folder.mkdir(mode=0o700, exist_ok=True)
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
            with open(handle, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            self._warn(f"cannot write to {self.folder} ({error.strerror or error}); kernels are not kept")
            self._writable = False
            return
        with self._lock:
            self._nbytes = self._nbytes + len(data) if self._nbytes >= 0 else self._estimate(path.parent)
            if self._nbytes > self.max_nbytes:
                self._evict()

    def clear(self) -> None:
        """Remove every file of the cache."""
        if self._ready():
            for _, _, path in self._files():
                with contextlib.suppress(OSError):
                    os.unlink(path)
            self._nbytes = -1

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{_SUFFIX}" if self.folder is not None else Path()

    def _ready(self) -> bool:
        """Make the folder if it is absent, once, and refuse one that others could write to."""
        if not self._prepared:
            with self._lock:
                if not self._prepared:
                    self._prepare()
                    self._prepared = True
        return self._readable

    def _prepare(self) -> None:
        if self.folder is None:
            return
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            status = self.folder.stat()
        except OSError as error:
            self._readable = self._writable = False
            self._warn(f"cannot use {self.folder} ({error.strerror or error}); kernels are not kept")
            return
        if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
            self._readable = self._writable = False
            self._warn(
                f"{self.folder} can be written by others, who could plant code there; it is not used: chmod 700 it"
            )

    def _warn(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            _warn("kernel cache: %s (TWINFLOW_CACHE names another folder, or off)", message)

    def _estimate(self, folder: Path) -> int:
        """The bytes of the cache, judged by one of its 256 folders: looking into all would take a large one seconds."""
        with contextlib.suppress(OSError):
            return 256 * sum(entry.stat().st_size for entry in os.scandir(folder))
        return -1

    def _files(self) -> list[tuple[float, int, str]]:
        """All files as (time of last use, bytes, path), oldest first."""
        found = []
        folders = []
        with contextlib.suppress(OSError):  # another process may be removing files too
            folders = [] if self.folder is None else list(os.scandir(self.folder))
        for folder in folders:
            with contextlib.suppress(OSError):
                for entry in os.scandir(folder):
                    with contextlib.suppress(OSError):
                        status = entry.stat()
                        found.append((status.st_mtime, status.st_size, entry.path))
        return sorted(found)

    def _evict(self) -> None:
        """Remove the oldest files until nine tenths of the limit are left, and what dead writers left behind."""
        files = self._files()
        total = sum(size for _, size, _ in files)
        oldest_writer = time.time() - _STALE_TEMPORARY_S
        for used, size, path in files:
            temporary = not path.endswith(_SUFFIX)
            if (temporary and used < oldest_writer) or (not temporary and total > 0.9 * self.max_nbytes):
                with contextlib.suppress(OSError):
                    os.unlink(path)
                    total -= size
        self._nbytes = total
