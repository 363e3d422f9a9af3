"""Alert rules: checked and unit-tested by promtool, each with its runbook, and seen to fire in a real Prometheus."""

from __future__ import annotations

# ruff: noqa: ANN401
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from dashboard import metrics
from tests.conftest import Eventually
from tests.dashboard.conftest import Watched
from tests.dashboard.samples import heartbeat, now, state, telemetry, whole

ROOT = Path(__file__).resolve().parent.parent.parent
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
BOARD = ROOT / "deploy" / "grafana" / "paraphina.json"
PROMTOOL = shutil.which("promtool")
PROMETHEUS = shutil.which("prometheus")
MEANT_EMPTY = {"increase(paraphina_process_restarts_total[30s]) > 0"}
"""Queries that find nothing while all is well."""


def alerts() -> list[str]:
    """Names of the alerts."""
    return re.findall(r"- alert: (\w+)", RULES.read_text())


def queries() -> list[str]:
    """Every query of the board, with its variable as Grafana would fill it in."""
    board = json.loads(BOARD.read_text())
    found = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    found += [entry["expr"] for entry in board["annotations"]["list"]]
    return [query.replace("$venue", ".*") for query in found]


def exposed() -> set[str]:
    """Names of all metrics there are."""

    class One(Collector):
        def collect(self) -> Iterator[Metric]:
            beats = [
                heartbeat(name, headroom={"rest": 1.0})
                for name in ("aster", "publisher", "runner", "sentinel", "dashboard")
            ]
            yield from metrics.families(state(telemetry(whole()), *beats), now())

    registry = CollectorRegistry()
    registry.register(One())
    return {sample.name for family in registry.collect() for sample in family.samples}


@pytest.mark.parametrize("arguments", [("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml")])
@pytest.mark.skipif(PROMTOOL is None, reason="no promtool here")
def test_promtool_finds_nothing_wrong(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([str(PROMTOOL), *arguments], cwd=RULES.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool here")
def test_every_alert_fires_in_its_unit_test_and_is_silent_in_a_healthy_hour() -> None:
    command = [str(PROMTOOL), "test", "rules", "alerts_test.yml"]
    done = subprocess.run(command, cwd=RULES.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_its_unit_test_and_its_place_in_the_healthy_hour() -> None:
    text = (RULES.parent / "alerts_test.yml").read_text()
    for name in alerts():
        assert f"- name: {name} fires" in text
        assert text.count(f"eval_time: 59m, alertname: {name}, exp_alerts: []") == 1


def test_every_alert_leads_to_a_section_of_its_own() -> None:
    text = RULES.read_text()
    links = re.findall(r"runbook: (\S+)#(\S+)", text)
    assert len(links) == len(set(links)) == len(alerts()) >= 10
    headings = re.findall(r"^## (.*)$", (ROOT / "docs" / "alerts.md").read_text(), re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    assert {file for file, _ in links} == {"docs/alerts.md"}
    assert {anchor for _, anchor in links} == anchors


@pytest.mark.parametrize("text", [RULES.read_text(), *queries()], ids=lambda text: text[:40])
def test_rules_and_board_ask_only_for_metrics_that_exist(text: str) -> None:
    assert set(re.findall(r"paraphina_\w+", text)) <= exposed()


class Prometheus:
    """A real one, asked over its API."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, path: str, **query: str) -> Any:
        """Data of an answer; ``None`` while there is none."""
        try:
            answer = requests.get(f"{self.url}/api/v1/{path}", params=query, timeout=10)
        except requests.ConnectionError:
            return None
        if answer.status_code == 503:  # still reading its own log
            return None
        told = answer.json()
        assert told["status"] == "success", told
        return told["data"]

    def firing(self) -> set[str]:
        """Names of the alerts that fire, with their venue."""
        found = (self.ask("alerts") or {"alerts": []})["alerts"]
        return {
            f"{alert['labels']['alertname']} {alert['labels'].get('venue', '')}".strip()
            for alert in found
            if alert["state"] == "firing"
        }


@pytest.fixture
def prometheus(watched: Watched, tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Prometheus]:
    """Give a Prometheus that scrapes the dashboard once a second with our own rules."""
    if PROMETHEUS is None:
        pytest.skip("no prometheus here")
    port = free_port()
    shutil.copy(RULES, tmp_path)
    text = (RULES.parent / "prometheus.yml").read_text()
    text = text.replace("5s", "1s").replace("127.0.0.1:18080", watched.url.removeprefix("http://"))
    (tmp_path / "prometheus.yml").write_text(text)
    process = subprocess.Popen(
        [
            PROMETHEUS,
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield Prometheus(port)
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_a_stalled_venue_fires_its_alert_in_a_real_prometheus_and_resolves_and_the_board_finds_its_series(
    watched: Watched, prometheus: Prometheus, eventually: Eventually
) -> None:
    eventually(lambda: (prometheus.ask("query", query='up{job="paraphina"} == 1') or {"result": []})["result"])
    watched.fault(fault="rest_error", venue="aster")
    watched.fault(fault="stall", venue="aster")
    eventually(lambda: "ParaphinaVenueStale aster" in prometheus.firing(), within=120)
    assert "ParaphinaVenueStale paradex" not in prometheus.firing()
    watched.mend()
    eventually(lambda: "ParaphinaVenueStale aster" not in prometheus.firing())
    eventually(lambda: watched.status("/health") == 200)
    silent = [
        query
        for query in queries()
        if query not in MEANT_EMPTY and not (prometheus.ask("query", query=query) or {"result": []})["result"]
    ]
    assert silent == []
