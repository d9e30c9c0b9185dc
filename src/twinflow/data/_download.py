"""Files from the net: fetched, checked against a digest, and only then put in their place."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from twinflow.core.errors import ArgumentError, DataError

_ALGORITHMS = {32: "md5", 64: "sha256"}  # by the number of hexadecimal digits


def check_digest(data: bytes, digest: str | None, what: str) -> None:
    """Raise DataError unless the MD5 or SHA-256 digest of the data is this one."""
    if digest is None:
        return
    if len(digest) not in _ALGORITHMS:
        raise ArgumentError(
            f"{what}: a digest has 32 (MD5) or 64 (SHA-256) hexadecimal digits, not {len(digest)}: {digest!r}"
        )
    name = _ALGORITHMS[len(digest)]
    found = hashlib.new(name, data, usedforsecurity=False).hexdigest()
    if found != digest:
        raise DataError(f"{what}: the contents are damaged ({name.upper()} {found}, not {digest})")


def download(url: str, path: Path, digest: str | None) -> None:
    """Download a file, check it, and only then put it in its place."""
    import urllib.request  # slow to import, and seldom wanted

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            data = answer.read()
    except OSError as error:
        raise DataError(
            f"download of {url} failed: {error}; fetch the file by other means and put it into {path.parent}"
        ) from None
    check_digest(data, digest, f"download of {url}")
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    os.replace(file.name, path)
