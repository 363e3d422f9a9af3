"""Each check of the plane fails for its own reason."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bus.settings import Settings, parse
from cli import doctor_plane as plane
from cli.checks import Check
from cli.manifest import Order

ENOUGH = 30


def settings(base: Path, **sections: dict[str, object]) -> Settings:
    return parse(sections, {}, base=str(base))


def order(scenario: str, minutes: float = 10) -> Order:
    return Order(out_dir="/x", minutes=minutes, mode="sim", connectors=("aster",), settings={}, scenario=scenario)


def one(checks: list[Check], name: str) -> Check:
    return next(check for check in checks if check.name == name)


def test_settings_that_cannot_be_used_fail_with_their_key(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text("[runner]\ntick = 3\n")
    found, check = plane.configuration({"PARAPHINA_CONFIG": str(path)})
    assert found is None
    assert check.outcome == "fail"
    assert check.found == "setting runner.tick: unknown key"
    assert "tick_ms" in check.fix


def test_settings_that_can_be_used_are_ok(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text("")
    found, check = plane.configuration({"PARAPHINA_CONFIG": str(path)})
    assert found is not None
    assert check.outcome == "ok"


def test_a_busy_port_fails_and_says_who_holds_it(run_dir: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        [found] = plane.ports(settings(run_dir, dashboard={"port": port}))
        assert found.outcome == "fail"
        assert f"port {port} is in use by pid {os.getpid()} (" in found.found
    [found] = plane.ports(settings(run_dir, dashboard={"port": port}))
    assert found.outcome == "ok"


def test_ports_of_a_bus_over_tcp_are_tested(run_dir: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    found = plane.ports(settings(run_dir, bus={"market_out": f"tcp://127.0.0.1:{port}"}, dashboard={"port": 0}))
    assert [(check.name, check.outcome) for check in found] == [(f"port {port}", "ok")]


def test_an_address_that_is_not_ours_fails(run_dir: Path) -> None:
    [found] = plane.ports(settings(run_dir, dashboard={"host": "192.0.2.1", "port": 9}))
    assert (found.outcome, "cannot bind" in found.found) == ("fail", True)


def test_a_bus_socket_that_somebody_listens_on_fails(run_dir: Path) -> None:
    ours = settings(run_dir)
    assert plane.sockets(ours).outcome == "ok"
    path = ours.endpoint("market_out").removeprefix("ipc://")
    Path(path).parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        assert plane.sockets(ours).outcome == "ok"
        listener.listen()
        found = plane.sockets(ours)
    assert (found.outcome, path in found.found) == ("fail", True)


def test_what_a_dead_supervisord_left_is_told(run_dir: Path) -> None:
    ours = settings(run_dir)
    ours.run_dir.mkdir()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (ours.run_dir / "supervisord.pid").write_text(f"{gone.pid}\n")
    (ours.run_dir / "supervisor.sock").touch()
    checks = plane.supervisor(ours)
    assert "is left from a supervisord that is gone" in one(checks, "supervisord").found
    assert one(checks, "pid file").found == f"stale: no process {gone.pid}"
    assert {check.outcome for check in checks} == {"warn"}


def test_a_pid_file_of_another_program_is_told(run_dir: Path) -> None:
    ours = settings(run_dir)
    ours.run_dir.mkdir()
    (ours.run_dir / "supervisord.pid").write_text(str(os.getpid()))
    assert f"pid {os.getpid()} is another program now" in one(plane.supervisor(ours), "pid file").found
    (ours.run_dir / "supervisord.pid").write_text("x")
    assert "unreadable" in one(plane.supervisor(ours), "pid file").found


def test_an_empty_run_directory_has_nothing_to_tell(run_dir: Path) -> None:
    assert [(check.name, check.outcome) for check in plane.supervisor(settings(run_dir))] == [("pid file", "ok")]


def test_there_is_nothing_to_attach_to_where_nothing_runs(run_dir: Path) -> None:
    found = plane.attachable(settings(run_dir))
    assert (found.outcome, "no supervisord answers" in found.found) == ("fail", True)


def test_other_instances_are_looked_for(run_dir: Path) -> None:
    assert plane.instances(settings(run_dir)).outcome in {"ok", "warn"}


def test_free_ports_are_found() -> None:
    assert plane.free(sim=True).outcome == "ok"
    assert plane.free(sim=False).outcome == "skip"


def test_no_free_ports_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> int:
        raise OSError("no 6 free ports in a row")

    monkeypatch.setattr("cli.doctor_plane.free_ports", none)
    assert plane.free(sim=True).found == "no 6 free ports in a row"


@pytest.mark.parametrize(
    ("text", "outcome", "words"),
    [
        ('[[fault]]\nfault = "stall"\nvenue = "aster"\nat_s = 1\nfor_s = 2\n', "ok", "1 faults"),
        ('[[fault]]\nfault = "stall"\nat_s = 900\n', "warn", "1 faults end after the run"),
        ('[[fault]]\nfault = "meteor"\n', "fail", "unknown fault 'meteor'"),
        ("[", "fail", "scenario:"),
    ],
)
def test_a_scenario_is_read_before_the_run(run_dir: Path, text: str, outcome: str, words: str) -> None:
    path = run_dir / "s.toml"
    path.write_text(text)
    found = plane.scenario(order(str(path)), settings(run_dir))
    assert (found.outcome, words in found.found) == (outcome, True), found


def test_a_scenario_that_is_not_there_fails_and_a_storm_needs_no_file(run_dir: Path) -> None:
    assert plane.scenario(order(str(run_dir / "no.toml")), settings(run_dir)).outcome == "fail"
    assert plane.scenario(order("storm"), settings(run_dir)).outcome == "ok"
