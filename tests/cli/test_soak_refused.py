"""A soak that cannot succeed is refused at once, for its own reason, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Simulate, Start, refused

pytestmark = pytest.mark.slow


def test_a_run_into_a_file_is_refused(soak: Start, run_dir: Path) -> None:
    out = run_dir / "file" / "out"
    (run_dir / "file").write_text("")
    refused(soak(out, "--sim", "--minutes", "1"), out, "is a file, not a directory")
    assert (run_dir / "file").read_text() == ""


def test_a_second_run_into_the_same_directory_is_refused_and_the_first_kept(soak: Start, out: Path) -> None:
    out.mkdir()
    (out / "telemetry.jsonl").write_text("{}\n")
    refused(soak(out, "--sim", "--minutes", "1"), out, "holds another run (telemetry.jsonl)")
    assert [path.name for path in out.iterdir()] == ["telemetry.jsonl"]


def test_a_run_longer_than_the_disk_is_refused(soak: Start, out: Path) -> None:
    minutes = shutil.disk_usage("/tmp").free / 1e6
    refused(soak(out, "--sim", "--minutes", f"{minutes:.0f}"), out, "MB needed for")
    assert not out.exists()


def test_temporary_files_on_another_file_system_are_refused(soak: Start, out: Path) -> None:
    if Path("/dev/shm").stat().st_dev == Path("/tmp").stat().st_dev:
        pytest.skip("no second file system here")
    refused(soak(out, "--sim", "--minutes", "1", TMPDIR="/dev/shm"), out, "EXDEV", "Unset TMPDIR")
    assert not out.exists()


def test_a_temporary_directory_too_deep_for_sockets_is_refused(soak: Start, out: Path, run_dir: Path) -> None:
    deep = run_dir / ("d" * 90)
    deep.mkdir()
    refused(soak(out, "--sim", "--minutes", "1", TMPDIR=str(deep)), out, "bytes of at most 107")


def test_a_scenario_that_cannot_be_used_is_refused(soak: Start, out: Path, run_dir: Path) -> None:
    scenario = run_dir / "s.toml"
    scenario.write_text('[[fault]]\nfault = "meteor"\n')
    refused(soak(out, "--sim", "--minutes", "1", "--scenario", str(scenario)), out, "unknown fault 'meteor'")
    assert not out.exists()


def test_venues_that_cannot_be_reached_are_refused(soak: Start, out: Path, run_dir: Path) -> None:
    (run_dir / "paraphina.toml").write_text(
        '[venues.aster]\nws_url = "ws://127.0.0.1:9"\nrest_url = "http://127.0.0.1:9"\n'
    )
    process = soak(out, "--live", "--minutes", "1", "--connectors", "aster")
    refused(process, out, "TCP 127.0.0.1:9: Connection refused", "Is the venue up")
    assert not out.exists()


@pytest.fixture
def small_disk(run_dir: Path) -> Iterator[Path]:
    """A file system of one megabyte, which is full as soon as something is written."""
    disk = run_dir / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("only root may mount")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_refused(soak: Start, small_disk: Path) -> None:
    with (small_disk / "other").open("wb", buffering=0) as file:
        written = 1
        while written:
            try:
                written = file.write(bytes(4_096))
            except OSError:
                break
    out = small_disk / "out"
    refused(soak(out, "--sim", "--minutes", "1"), out, "0 MB free")
    assert [path.name for path in small_disk.iterdir()] == ["other"]


def test_a_port_that_is_taken_is_refused_with_its_owner(soak: Start, out: Path, run_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (run_dir / "paraphina.toml").write_text(f"[dashboard]\nport = {port}\n")
        refused(soak(out, "--sim", "--minutes", "1"), out, f"port {port} is in use by pid {os.getpid()}")
    assert not out.exists()


def test_a_supervisord_that_hangs_is_refused(soak: Start, out: Path, run_dir: Path) -> None:
    (run_dir / "run").mkdir()
    with subprocess.Popen([sys.executable, "-c", "input()", "supervisord"], stdin=subprocess.PIPE) as hung:
        (run_dir / "run" / "supervisord.pid").write_text(str(hung.pid))
        process = soak(out, "--sim", "--minutes", "1")
        told, _ = process.communicate(timeout=120)
        assert f"supervisord (pid {hung.pid}) lives, but does not" in " ".join(told.split())
        assert process.returncode == 2
        hung.kill()
    assert not out.exists()


def test_a_certificate_of_another_authority_is_refused(
    soak: Start, out: Path, run_dir: Path, simulate: Simulate
) -> None:
    tls = run_dir / "tls"
    simulate("--tls", str(tls), "--wrong-certificate", venues=("aster",), ca_file=str(tls / "ca.pem"))
    process = soak(out, "--live", "--minutes", "1", "--connectors", "aster")
    refused_for(process, "TLS: certificate refused")
    assert not out.exists()


def test_a_clock_that_the_venues_contradict_is_refused(
    soak: Start, out: Path, run_dir: Path, simulate: Simulate
) -> None:
    scenario = run_dir / "skew.toml"
    scenario.write_text('[[fault]]\nfault = "clock_skew"\nparams = { offset_s = -30.0 }\n')
    simulate("--scenario", str(scenario))
    process = soak(out, "--live", "--minutes", "1", "--connectors", "lighter,aster")
    refused_for(process, "ahead of the venues")
    assert not out.exists()


def refused_for(process: subprocess.Popen[str], *words: str) -> None:
    """As ``refused``, where the test has processes of its own."""
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 2, told
    flat = " ".join(told.split())
    assert "error: refused to start" in flat
    for word in words:
        assert word in flat
