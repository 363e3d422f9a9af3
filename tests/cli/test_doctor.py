"""``paraphina doctor`` and the venues, with real sockets and a real simulator."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bus.settings import VENUES
from cli.doctor import doctor
from cli.doctor_venue import StepError, reach
from tests.cli.conftest import Simulate


def run(run_dir: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    monkeypatch.setenv("PARAPHINA_CONFIG", str(run_dir / "paraphina.toml"))
    return CliRunner().invoke(doctor, ["--json", *words])


def told(result: Result) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in json.loads(result.stdout)["checks"]}


def test_a_good_machine_passes_and_nothing_is_left(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run_dir / "paraphina.toml").write_text("[dashboard]\nport = 0\n")
    result = run(run_dir, monkeypatch, "--offline", "--out-dir", str(run_dir / "out"))
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in run_dir.iterdir()) == ["paraphina.toml"]
    checks = told(result)
    assert all(check["tested"] and check["found"] for check in checks.values())
    assert {"interpreter", "packages", "configuration", "open files", "CPU", "clock", "rename", "hard link"} <= set(
        checks
    )


def test_bad_settings_fail_and_the_rest_is_still_tested(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run_dir / "paraphina.toml").write_text("[nonsense]\n")
    result = run(run_dir, monkeypatch, "--offline")
    assert result.exit_code == 1
    checks = told(result)
    assert checks["configuration"]["outcome"] == "fail"
    assert checks["interpreter"]["outcome"] == "ok"


def test_the_table_is_for_people(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARAPHINA_CONFIG", str(run_dir / "none.toml"))
    result = CliRunner().invoke(doctor, ["--offline"])
    assert result.exit_code == 1
    assert "no such file" in result.output


def test_a_name_that_does_not_exist_fails_at_dns() -> None:
    with pytest.raises(StepError) as caught:
        reach("wss://venue.invalid", "", [])
    assert caught.value.step == "DNS venue.invalid"


def test_a_closed_port_fails_at_tcp(free_port: Callable[[], int]) -> None:
    port = free_port()
    with pytest.raises(StepError, match="Connection refused") as caught:
        reach(f"ws://127.0.0.1:{port}", "", [])
    assert caught.value.step == f"TCP 127.0.0.1:{port}"


def test_a_port_that_speaks_no_tls_fails_at_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"hello, who is there?\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(StepError) as caught:
            reach(f"wss://127.0.0.1:{server.getsockname()[1]}", "", [])
        thread.join()
    assert caught.value.step == "TLS"


@pytest.mark.slow
def test_venues_that_are_well_are_told_step_by_step(
    run_dir: Path, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate(venues=VENUES)
    result = run(run_dir, monkeypatch)
    checks = told(result)
    for venue in VENUES:
        check = checks[venue]
        assert check["outcome"] == "ok", check
        names = [step["name"] for step in check["data"]["steps"]]
        assert names[-2:] == ["connect and upgrade", "first data"]
        assert names[0] == "DNS 127.0.0.1"
        assert all(step["ms"] >= 0 for step in check["data"]["steps"])


@pytest.mark.slow
def test_tls_is_tested_against_the_configured_authority(
    run_dir: Path, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = run_dir / "tls"
    simulate("--tls", str(tls), venues=("aster",), ca_file=str(tls / "ca.pem"))
    check = told(run(run_dir, monkeypatch))["aster"]
    assert check["outcome"] == "ok", check
    assert "TLS" in check["found"]


@pytest.mark.slow
def test_a_certificate_of_another_authority_fails_at_tls(
    run_dir: Path, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = run_dir / "tls"
    simulate("--tls", str(tls), "--wrong-certificate", venues=("aster",), ca_file=str(tls / "ca.pem"))
    result = run(run_dir, monkeypatch)
    check = told(result)["aster"]
    assert result.exit_code == 1
    assert check["outcome"] == "fail"
    assert check["found"].startswith("TLS: certificate refused: ")


@pytest.mark.slow
def test_a_skewed_clock_fails_when_the_venues_agree(
    run_dir: Path, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = run_dir / "s.toml"
    scenario.write_text('[[fault]]\nfault = "clock_skew"\nparams = { offset_s = -30.0 }\n')
    simulate("--scenario", str(scenario))
    result = run(run_dir, monkeypatch)
    clock = told(result)["clock"]
    assert result.exit_code == 1
    assert clock["outcome"] == "fail", clock
    assert "s ahead of the venues'" in clock["found"]


@pytest.mark.slow
def test_an_upgrade_that_is_refused_fails_with_its_status(
    run_dir: Path, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = run_dir / "s.toml"
    scenario.write_text('[[fault]]\nfault = "handshake"\nparams = { status = 403 }\n')
    simulate("--scenario", str(scenario), venues=("lighter",))
    check = told(run(run_dir, monkeypatch))["lighter"]
    assert check["found"].startswith("upgrade: no WebSocket on ws://127.0.0.1:")
    assert "403" in check["found"]
