"""Where a stage's messages go: every line to its log, and to the terminal no more than is read."""

import faulthandler
import logging
import time
from pathlib import Path

from thin_ice import joblog
from thin_ice.progress import wants_bar

LINES_EVERY_S = 30.0  # on a shared terminal; the log has every line

log = logging.getLogger("thin_ice")


class _Throttle(logging.Filter):
    """Let a progress line through only every so often; warnings always."""

    def __init__(self) -> None:
        super().__init__()
        self.last = time.monotonic()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno > logging.INFO:
            return True
        if time.monotonic() - self.last < LINES_EVERY_S:
            return False
        self.last = time.monotonic()
        return True


def log_to(path: Path | None) -> None:
    """Every line to the file; to the terminal too, thinned out, unless a bar is drawn there."""
    log.setLevel(logging.INFO)
    log.propagate = False
    log.handlers.clear()
    console = logging.StreamHandler()
    console.setFormatter(logging.Formatter("%(message)s"))
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(path, mode="a")
        file.setFormatter(logging.Formatter(joblog.FORMAT))
        log.addHandler(file)
        faulthandler.enable(file.stream)  # a crash of compiled code leaves its place in the log
        console.addFilter(_Throttle())
    if wants_bar():
        console.setLevel(logging.WARNING)
    log.addHandler(console)
