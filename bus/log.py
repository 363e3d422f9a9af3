"""Log lines of every process: one a line, logfmt or JSON, to stdout, where supervisord keeps and rotates them.

Every line has ``time`` (ISO 8601, UTC, ms), ``level``, ``process``, ``venue`` where there is one, and ``event``. A line
that cannot be written (disk full, reader gone, pipe full because nobody reads) is dropped and counted in ``lost``, and
the next that can says how many (``lines_lost``): a process never stops, and never ends, because of its log.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from importlib import import_module
from select import PIPE_BUF
from typing import TYPE_CHECKING, Any, Final

from bus.settings import Log

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) != "\n"}
"""What a venue sends is quoted in lines that people read in terminals, which would obey. Renderers escape line ends."""


class LineWriter:
    """Writes whole lines to a descriptor and never raises.

    A pipe is made non-blocking, so that no reader can hold us.
    """

    def __init__(self, descriptor: int = 1) -> None:
        self.lost = 0
        """Lines that could not be written."""
        self.untold = 0
        """Those of them since the last line that could."""
        self._torn = False
        self._descriptor = descriptor
        try:
            self._pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
            if self._pipe:
                os.set_blocking(descriptor, False)
        except OSError:
            self._pipe = False

    def msg(self, line: str) -> None:
        """Write one line. On a pipe at most PIPE_BUF bytes of it: more could be torn apart."""
        data = line.translate(_CONTROLS).encode(errors="backslashreplace") + b"\n"
        if self._pipe and len(data) > PIPE_BUF:
            data = data[: PIPE_BUF - 4] + b"...\n"
        if self._torn:
            data = b"\n" + data
        whole = len(data)
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            self.lost += 1
            self.untold += 1
            self._torn = self._torn or len(data) < whole
        else:
            self.untold, self._torn = 0, False

    debug = info = warning = error = critical = exception = msg


def configure(
    process: str, venue: str | None = None, settings: Log | None = None, writer: LineWriter | None = None
) -> FilteringBoundLogger:
    """Set up logging of this process, once, and get its logger: ``log.info("connected", connection="main")``.

    ``process`` is the supervised program (``connectors:aster``, ``publisher``).
    """
    settings = settings or Log()
    structlog = _structlog()
    out = writer or LineWriter()
    origin = {"process": process} if venue is None else {"process": process, "venue": venue}

    def stamp(_: object, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        missing = {"lines_lost": out.untold} if out.untold else {}
        return {"time": time, "level": level, **origin, "event": event.pop("event", ""), **event, **missing}

    renderer = (
        structlog.processors.JSONRenderer(default=str)
        if settings.format == "json"
        else structlog.processors.LogfmtRenderer(bool_as_flag=False)
    )
    structlog.configure(
        processors=[structlog.processors.format_exc_info, stamp, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.level]),
        logger_factory=lambda *_: out,
        cache_logger_on_first_use=writer is None,
    )
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


def _structlog() -> Any:  # noqa: ANN401  (a module)
    """Import structlog without the rich tracebacks of its console renderer: 100 of the 180 ms that it takes."""
    if "structlog" in sys.modules or "rich" in sys.modules:
        return import_module("structlog")
    sys.modules["rich"] = None  # type: ignore[assignment]  # what makes an import fail
    try:
        return import_module("structlog")
    finally:
        del sys.modules["rich"]
