"""The kernel cache: it keeps, it forgets, and nothing that happens on disk stops the program."""

import logging
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from twinflow.runtime import Engine, KernelCache, default_cache_dir

ADD_ONE = "define i64 @add_one(i64 %x) { %y = add i64 %x, 1  ret i64 %y }"
KEY = "ab" * 32
not_root = pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() == 0, reason="root may write everywhere")


def files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())


def test_what_is_put_is_got_and_is_private(tmp_path: Path) -> None:
    cache = KernelCache(tmp_path / "deep" / "cache")
    assert cache.get(KEY) is None
    cache.put(KEY, b"code")
    assert KernelCache(tmp_path / "deep" / "cache").get(KEY) == b"code"
    [path] = files(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(p.stat().st_mode) for p in (path.parent, path.parent.parent)} == {0o700}
    cache.clear()
    assert cache.get(KEY) is None and not files(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other"])
def test_a_damaged_file_is_ignored_and_made_again(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = Engine(cache=KernelCache(tmp_path))
    code = first.compile(ADD_ONE).key
    [path] = files(tmp_path)
    whole = path.read_bytes()
    changed = {"cut": whole[:-10], "flip": whole[:-1] + bytes([whole[-1] ^ 1]), "empty": b"", "other": b"hello" * 99}
    path.write_bytes(changed[damage])
    again = Engine(cache=KernelCache(tmp_path))
    with caplog.at_level(logging.WARNING):
        assert again.compile(ADD_ONE).key == code
    assert "damaged" in caplog.text
    assert again.stats.compiled == 1 and path.read_bytes() == whole


def test_the_second_engine_compiles_nothing(tmp_path: Path) -> None:
    Engine(cache=KernelCache(tmp_path)).compile(ADD_ONE)
    second = Engine(cache=KernelCache(tmp_path))
    second.compile(ADD_ONE)
    assert (second.stats.compiled, second.stats.from_disk) == (0, 1)
    second.compile(ADD_ONE, level=3)
    assert second.stats.compiled == 1


def test_least_recently_used_files_go_first(tmp_path: Path) -> None:
    cache = KernelCache(tmp_path, max_nbytes=10_000)
    keys = [f"{i:02x}" * 32 for i in range(20)]
    for age, key in enumerate(keys[:9]):
        cache.put(key, bytes(1000))
        used = time.time() - 10_000 + age
        os.utime(tmp_path / key[:2] / f"{key}.kernel", (used, used))
    assert cache.get(keys[0]) == bytes(1000)  # notes the use
    cache.put(keys[9], bytes(1000))
    kept = [key for key in keys[:10] if cache.get(key) is not None]
    assert keys[0] in kept and keys[9] in kept and keys[1] not in kept
    assert sum(p.stat().st_size for p in files(tmp_path)) <= 10_000


def test_a_folder_removed_meanwhile_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = KernelCache(tmp_path / "cache")
    cache.put(KEY, b"code")
    shutil.rmtree(tmp_path / "cache")
    assert cache.get(KEY) is None
    cache.put(KEY, b"code")
    assert cache.get(KEY) == b"code" and not caplog.records


def test_what_a_dead_writer_left_is_removed(tmp_path: Path) -> None:
    cache = KernelCache(tmp_path, max_nbytes=100)
    cache.put(KEY, bytes(10))
    left = tmp_path / "ab" / "tmp123.part"
    left.write_bytes(b"half a ker")
    long_ago = time.time() - 90_000
    os.utime(left, (long_ago, long_ago))
    cache.put("cd" * 32, bytes(100))
    assert not left.exists()


@not_root
def test_a_read_only_folder_warns_once_and_still_reads(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    KernelCache(tmp_path).put(KEY, b"code")
    for p in (tmp_path / "ab", tmp_path):
        p.chmod(0o500)
    try:
        cache = KernelCache(tmp_path)
        with caplog.at_level(logging.WARNING):
            cache.put("cd" * 32, b"x")
            cache.put("ef" * 32, b"x")
        assert len(caplog.records) == 1 and "kernels are not kept" in caplog.text and str(tmp_path) in caplog.text
        assert cache.get(KEY) == b"code"
    finally:
        for p in (tmp_path, tmp_path / "ab"):
            p.chmod(0o700)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError(30, "Read-only file system")])
def test_a_full_or_read_only_disk_warns_once_and_goes_on(
    error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(source: object, target: object) -> None:
        raise error

    monkeypatch.setattr(os, "replace", refuse)
    engine = Engine(cache=KernelCache(tmp_path))
    with caplog.at_level(logging.WARNING):
        engine.compile(ADD_ONE)
        engine.compile(ADD_ONE.replace("1 ", "2 "))
    assert [r.levelname for r in caplog.records] == ["WARNING"] and str(error.strerror) in caplog.text
    assert not files(tmp_path)


def test_a_folder_that_is_a_file_warns_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "taken").write_text("x")
    cache = KernelCache(tmp_path / "taken")
    with caplog.at_level(logging.WARNING):
        cache.put(KEY, b"code")
    assert cache.get(KEY) is None and len(caplog.records) == 1


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions of POSIX")
def test_a_folder_others_can_write_to_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    KernelCache(tmp_path).put(KEY, b"code")
    tmp_path.chmod(0o777)
    with caplog.at_level(logging.WARNING):
        assert KernelCache(tmp_path).get(KEY) is None
    assert "chmod 700" in caplog.text


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINFLOW_CACHE", "off")
    assert default_cache_dir() is None
    monkeypatch.setenv("TWINFLOW_CACHE", str(tmp_path / "here"))
    assert default_cache_dir() == tmp_path / "here"
    if sys.platform not in ("win32", "darwin"):
        monkeypatch.delenv("TWINFLOW_CACHE")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert default_cache_dir() == tmp_path / "twinflow"


def test_many_processes_share_a_folder(tmp_path: Path) -> None:
    script = """
import ctypes
from twinflow.runtime import engine
for n in range(8):
    text = f"define i64 @f(i64 %x) {{ %y = add i64 %x, {n}  ret i64 %y }}"
    assert engine().compile(text).function("f", ctypes.c_int64, restype=ctypes.c_int64)(1) == n + 1
"""
    env = {**os.environ, "TWINFLOW_CACHE": str(tmp_path)}
    running = [subprocess.Popen([sys.executable, "-c", script], env=env, stderr=subprocess.PIPE) for _ in range(4)]
    for process in running:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0 and said == b"", said.decode()
    assert len(files(tmp_path)) == 8
