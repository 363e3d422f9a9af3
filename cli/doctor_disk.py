"""Directories: whether a run can write there what it will have to write."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from cli.artefacts import FAULTS, MANIFEST, RUN_LOG, RX_STATS, TELEMETRY
from cli.checks import Check

MB: Final = 1_000_000
SPARE_MB: Final = 100
MB_A_MINUTE: Final = 4.0
"""Telemetry of five venues with three markets each takes 1.9 MB a minute, logs and statistics less than 0.3."""
MIN_INODES: Final = 1_000
IPC_LIMIT: Final = 107
"""Bytes of the path of a Unix socket (``sun_path`` has 108 with its end)."""
SOCKETS: Final = ("bus/market_out", "supervisor.sock.4194304")
"""The longest of ours; supervisord's (its ``http.py``) has its pid behind its name while it is made."""


def existing(path: Path) -> Path:
    """The path, or what is there above it."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


@contextmanager
def _probe(folder: Path) -> Iterator[Path]:
    """A file of ours in a folder, gone afterwards. Raises OSError."""
    descriptor, name = tempfile.mkstemp(prefix=".paraphina-doctor-", dir=folder)
    path = Path(name)
    try:
        os.write(descriptor, b"doctor")
        os.fsync(descriptor)
        yield path
    finally:
        os.close(descriptor)
        with suppress(FileNotFoundError):
            path.unlink()


def writable(name: str, path: Path) -> Check:
    """Whether files can be made, written and removed there."""
    folder = existing(path)
    tested = f"a file written in {folder}"
    fix = "Choose another directory, or mend owner, permissions or the mount."
    if not folder.is_dir():
        return Check(name, "fail", tested, f"{folder} is a file, not a directory", "Choose another directory.")
    try:
        with _probe(folder):
            pass
    except OSError as error:
        return Check(name, "fail", tested, f"cannot write in {folder}: {error.strerror}", fix)
    made = "" if folder == path.absolute() else f" ({path} itself will be made)"
    return Check(name, "ok", tested, f"{folder} can be written{made}")


def space(
    name: str, path: Path, minutes: float, statvfs: Callable[[Path], os.statvfs_result] = os.statvfs
) -> list[Check]:
    """Room for a run of so many minutes, in bytes and inodes."""
    folder = existing(path)
    found = statvfs(folder)
    free_mb = found.f_bavail * found.f_frsize / MB
    need_mb = SPARE_MB + minutes * MB_A_MINUTE
    room = Check(
        f"{name} space",
        "ok" if free_mb >= need_mb else "fail",
        f"free space at {folder}",
        f"{free_mb:,.0f} MB free, {need_mb:,.0f} MB needed for {minutes:g} minutes",
        "" if free_mb >= need_mb else "Make room, choose another directory, or a shorter run.",
        {"free_mb": round(free_mb), "need_mb": round(need_mb)},
    )
    inodes = found.f_favail
    # File systems without a fixed number of inodes say 0 of 0.
    enough = found.f_files == 0 or inodes >= MIN_INODES
    entries = Check(
        f"{name} inodes",
        "ok" if enough else "fail",
        f"free inodes at {folder}",
        f"{inodes:,} free" if found.f_files else "no fixed number",
        "" if enough else "Remove files: there is space, but no more entries for new ones.",
        {"free": inodes},
    )
    return [room, entries]


def rename(name: str, path: Path, replace: Callable[[Path, Path], object] = os.replace) -> Check:
    """Whether a whole file can be put in place in one step, as reports and manifests are."""
    folder = existing(path)
    tested = f"a file renamed within {folder}"
    try:
        with _probe(folder) as probe:
            target = probe.with_suffix(".renamed")
            try:
                replace(probe, target)
            finally:
                with suppress(FileNotFoundError):
                    target.unlink()
    except OSError as error:
        return Check(name, "fail", tested, _rename_words(folder, error), "Choose a directory on a plain file system.")
    return Check(name, "ok", tested, "works")


def _rename_words(folder: Path, error: OSError) -> str:
    if error.errno == errno.EXDEV:
        return (
            f"rename within {folder} fails with EXDEV (cross-device link): a file is made on one file system and its "
            "place is on another, as on some overlays and bind mounts, so no file there can be replaced in one step"
        )
    return f"rename within {folder} fails: {error.strerror}"


def hard_link(name: str, path: Path, link: Callable[[Path, Path], object] = os.link, *, needed: bool = False) -> Check:
    """Whether hard links work there. In a run directory they are ``needed``: supervisord makes its socket by one."""
    folder = existing(path)
    tested = f"a hard link within {folder}"
    try:
        with _probe(folder) as probe:
            target = probe.with_suffix(".linked")
            try:
                link(probe, target)
            finally:
                with suppress(FileNotFoundError):
                    target.unlink()
    except OSError as error:
        found = f"hard links in {folder} fail: {error.strerror}"
        if needed:
            fix = "Have the run directory (for soaks, TMPDIR) on another file system: supervisord needs them."
            return Check(name, "fail", tested, found, fix)
        return Check(name, "warn", tested, found, "Build and copy elsewhere; the output itself needs no hard links.")
    return Check(name, "ok", tested, "works")


def temporary(path: Path, named: str | None, device: Callable[[Path], int] = lambda path: path.stat().st_dev) -> Check:
    """Whether temporary files and their targets are on one file system. ``named``: TMPDIR, if it is set.

    Our own whole files are made beside their targets, wherever TMPDIR is. But one that was set on purpose is used by
    other programs too, and those that rename out of it fail with EXDEV.
    """
    folder = existing(path)
    temp = Path(tempfile.gettempdir())
    tested = f"device ids of {temp} and {folder}"
    if named is not None and not Path(named).is_dir():
        return Check("temporary files", "fail", tested, f"TMPDIR={named} is no directory", "Unset TMPDIR, or make it.")
    devices = device(temp), device(folder)
    data = {"tmpdir": named, "temp_device": devices[0], "target_device": devices[1]}
    if devices[0] == devices[1]:
        return Check("temporary files", "ok", tested, f"{temp} and {folder} are on one file system", data=data)
    found = (
        f"{temp} (device {devices[0]}) and {folder} (device {devices[1]}) are different file systems: a rename from "
        "one to the other fails with EXDEV"
    )
    if named is None:
        return Check(
            "temporary files", "ok", tested, f"{found}; our own files are made beside their targets", data=data
        )
    fix = "Unset TMPDIR, or set it to a directory on the file system of the output."
    return Check("temporary files", "fail", tested, f"TMPDIR={named}: {found}", fix, data)


def empty(path: Path) -> Check:
    """Whether the output directory holds no other run, whose lines would mix with ours."""
    names = [name for name in (TELEMETRY, RX_STATS, RUN_LOG, MANIFEST, FAULTS) if (path / name).exists()]
    tested = f"artefacts in {path}"
    if names:
        found = f"{path} holds another run ({', '.join(names)})"
        return Check("output is free", "fail", tested, found, "Give each run a directory of its own.")
    return Check("output is free", "ok", tested, "no other run there")


def socket_paths(name: str, folder: Path) -> Check:
    """Whether the sockets of a run directory have names short enough for the system."""
    longest = max((folder / socket for socket in SOCKETS), key=lambda path: len(os.fsencode(path)))
    length = len(os.fsencode(longest))
    tested = f"length of {longest}"
    found = f"{length} bytes of at most {IPC_LIMIT}"
    if length <= IPC_LIMIT:
        return Check(name, "ok", tested, found, data={"bytes": length})
    fix = "Use a shorter run directory (run.dir), or a shorter TMPDIR for soaks."
    return Check(name, "fail", tested, f"the path of a socket would have {found}: {longest}", fix, {"bytes": length})
