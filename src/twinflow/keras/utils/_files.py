"""Files from the net, where programs expect them."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from twinflow.core.errors import ArgumentError, DataError
from twinflow.data._download import check_digest
from twinflow.data._download import download as fetch


def get_file(
    fname: Any = None,
    origin: str | None = None,
    file_hash: str | None = None,
    cache_dir: Any = None,
    cache_subdir: str = "datasets",
    extract: bool = False,
    force_download: bool = False,
) -> str:
    """The path of a file, fetched from `origin` unless it is there.

    Args:
        fname: its name in the folder; the last part of `origin` if not given.
        file_hash: the MD5 or SHA-256 digest that the file must have.
        cache_dir, cache_subdir: the folder; ~/.keras/datasets if not given.
        extract: unpack a tar or zip archive beside it, and give the path of that folder, `{fname}_extracted`.
        force_download: fetch it even if it is there.
    Raises: DataError if it cannot be fetched, or has another digest.
    """
    if origin is None:
        raise ArgumentError("keras.utils.get_file: give origin, the address of the file")
    name = os.fspath(fname) if fname is not None else origin.rsplit("/", 1)[-1]
    if not name:
        raise ArgumentError(f"keras.utils.get_file: the address {origin!r} has no name of a file; give fname")
    folder = Path(os.path.expanduser(cache_dir or "~/.keras")) / cache_subdir
    path = folder / name
    if force_download or not path.exists():
        fetch(origin, path, file_hash)
    else:
        check_digest(path.read_bytes(), file_hash, f"keras.utils.get_file: {path}")
    return str(_unpacked(path)) if extract else str(path)


def _inside(member: tarfile.TarInfo, path: Path) -> tarfile.TarInfo:
    """A file or folder of an archive. Raises: DataError for a link, a device, or what lies outside the folder."""
    parts = PurePosixPath(member.name)
    if parts.is_absolute() or ".." in parts.parts or not (member.isfile() or member.isdir()):
        raise DataError(
            f"keras.utils.get_file: {path} holds {member.name!r}, which is no file inside its folder; it is not unpacked"
        )
    return member


def _unpacked(path: Path) -> Path:
    """The folder with the contents of an archive: whole, or not there."""
    target = path.with_name(f"{path.name}_extracted")
    if target.exists():
        return target
    partial = path.with_name(f"{path.name}_partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                packed.extractall(partial)
        else:
            with tarfile.open(path) as archive:
                # what Python's own filter refuses, for versions that have none
                archive.extraction_filter = lambda member, _: member
                archive.extractall(partial, [_inside(member, path) for member in archive])
    except (DataError, tarfile.TarError, zipfile.BadZipFile) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise DataError(f"keras.utils.get_file: {path} cannot be unpacked: {error}") from error
    partial.rename(target)
    return target
