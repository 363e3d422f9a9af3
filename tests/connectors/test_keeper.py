"""What is handed down is whole or not there, and never in the way."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import CapturingLogger
from structlog.typing import FilteringBoundLogger

from bus.settings import Settings, parse
from connectors.keeper import Keeper
from connectors.past import Past
from tests.connectors.doubles import S, at

PAST = Past([(1 * S, 1)], rest_held_until=90 * S)


class Log(CapturingLogger):
    """Remembers the events."""

    def said(self) -> list[tuple[str, object]]:
        return [(call.args[0], call.kwargs.get("problem")) for call in self.calls]


def settings(run_dir: Path, **venue: object) -> Settings:
    return parse({"run": {"dir": str(run_dir)}, "venues": {"aster": venue}}, {}, base="/")


def keeper(run_dir: Path, log: Log, **venue: object) -> Keeper:
    bound: FilteringBoundLogger = log
    return Keeper(settings(run_dir, **venue), "aster", bound)


def test_the_next_process_reads_what_the_last_one_wrote(run_dir: Path) -> None:
    log = Log()
    keeper(run_dir, log).save(Past(), at(5 * S))
    keeper(run_dir, log).save(PAST, at(10 * S))
    assert keeper(run_dir, log).load(at(11 * S)) == PAST
    assert log.said() == []
    assert [path.name for path in run_dir.iterdir()] == ["aster.limits"]
    assert (run_dir / "aster.limits").stat().st_mode & 0o777 == 0o600


def test_without_a_predecessor_nothing_is_held_and_nothing_said(run_dir: Path) -> None:
    log = Log()
    assert keeper(run_dir, log).load(at(0)) == Past()
    assert log.said() == []


@pytest.mark.parametrize("damage", [b"", b"{}", b"\x00" * 100, b'{"boot": 1}'])
def test_what_is_damaged_is_left_aside_and_said(run_dir: Path, damage: bytes) -> None:
    log = Log()
    (run_dir / "aster.limits").write_bytes(damage)
    assert keeper(run_dir, log).load(at(0)) == Past()
    assert [event for event, _ in log.said()] == ["limits_unusable"]


def test_another_address_of_the_venue_has_limits_of_its_own(run_dir: Path) -> None:
    log = Log()
    keeper(run_dir, log).save(PAST, at(10 * S))
    assert keeper(run_dir, log, rest_url="http://127.0.0.1:1").load(at(11 * S)) == Past()
    assert [event for event, _ in log.said()] == ["limits_unusable"]


def test_each_line_of_redundant_connectors_has_a_file_of_its_own(run_dir: Path) -> None:
    second = parse({"run": {"dir": str(run_dir), "line": "b"}}, {}, base="/")
    bound: FilteringBoundLogger = Log()
    Keeper(second, "aster", bound).save(PAST, at(10 * S))
    assert [path.name for path in run_dir.iterdir()] == ["aster.b.limits"]


def test_what_cannot_be_written_is_said_once_and_so_is_that_it_can_be_again(run_dir: Path) -> None:
    log = Log()
    kept = keeper(run_dir / "missing", log)
    kept.save(PAST, at(10 * S))
    kept.save(PAST, at(11 * S))
    assert log.said() == [("limits_not_kept", "No such file or directory")]
    (run_dir / "missing").mkdir()
    kept.save(PAST, at(12 * S))
    assert log.said()[1:] == [("limits_kept", None)]
    assert keeper(run_dir / "missing", log).load(at(13 * S)) == PAST
