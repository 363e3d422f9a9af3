"""A real browser, headless, driven over its debugging protocol. Where there is none, tests skip."""

from __future__ import annotations

# ruff: noqa: ANN401
import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import requests
import websocket

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-default-browser-check"),
    *("--disable-extensions", "--disable-features=Translate,MediaRouter,OptimizationHints", "--mute-audio"),
    "--remote-debugging-port=0",
)


class Browser:
    """One headless browser with one page. Close it, or use it in a ``with`` statement."""

    def __init__(self, size: tuple[int, int] = (1600, 1200)) -> None:
        assert CHROMIUM is not None
        self._home = Path(tempfile.mkdtemp(prefix="browser-", dir="/tmp"))
        window = f"--window-size={size[0]},{size[1]}"
        self._process = subprocess.Popen(
            [CHROMIUM, *FLAGS, window, f"--user-data-dir={self._home}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._number = 0
        self.said: list[str] = []
        """Errors and warnings of the page's console, uncaught exceptions, and requests to other hosts."""
        try:
            port = self._port()
            pages = requests.get(f"http://127.0.0.1:{port}/json/list", timeout=10).json()
            url = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
            self._socket = websocket.create_connection(url, timeout=30, suppress_origin=True)
        except BaseException:
            self.close()
            raise
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def _port(self) -> int:
        path = self._home / "DevToolsActivePort"
        give_up = time.monotonic() + 60
        while not path.exists() or not path.read_text():
            if time.monotonic() > give_up or self._process.poll() is not None:
                raise RuntimeError("the browser did not start")
            time.sleep(0.02)
        return int(path.read_text().split()[0])

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, and its answer."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._notice(message)

    def _notice(self, message: dict[str, Any]) -> None:
        method, told = message.get("method"), message.get("params", {})
        if method == "Log.entryAdded" and told["entry"]["level"] in {"error", "warning"}:
            self.said.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
        elif method == "Runtime.exceptionThrown":
            self.said.append(json.dumps(told["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and told["type"] in {"error", "warning"}:
            self.said.append(json.dumps(told["args"]))
        elif method == "Network.requestWillBeSent" and "//127.0.0.1" not in told["request"]["url"]:
            self.said.append(f"asked elsewhere: {told['request']['url']}")

    def open(self, url: str) -> None:
        """Go to a page; returns when it has been asked for."""
        self.ask("Page.navigate", url=url)

    def js(self, expression: str) -> Any:
        """Value of an expression in the page."""
        told = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def words(self, selector: str) -> str:
        """Text of the first element that matches, as it is laid out; empty when there is none."""
        return str(self.js(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def press(self, key: str, code: int) -> None:
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def heap_bytes(self) -> int:
        """What the page's objects take, after a collection."""
        self.ask("HeapProfiler.collectGarbage")
        return int(self.ask("Runtime.getHeapUsage")["usedSize"])

    def emulate(self, width: int, height: int, *, phone: bool = False, scheme: str | None = None) -> None:
        """Take another size, or the other colours."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        if scheme is not None:
            self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, path: Path) -> None:
        """A screenshot of the whole page."""
        told = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(told["data"]))

    def close(self) -> None:
        """End the browser and everything it started."""
        if hasattr(self, "_socket"):
            self._socket.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        shutil.rmtree(self._home, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
