"""Progress of long work: a bar on a terminal, plain lines in the log. Knows no torch."""

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
log = logging.getLogger("thin_ice")


def wants_bar() -> bool:
    """A bar needs a terminal of its own; several jobs that share one print lines instead."""
    return sys.stderr.isatty() and os.environ.get("THIN_ICE_PROGRESS") != "lines"


def clock(seconds: float) -> str:
    """``1:02:03``, or ``2:03`` below an hour."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class Progress:
    """Counts units of work (epochs, attacks) and says how long the rest will take."""

    def __init__(self, unit: str, total: int, done: int = 0) -> None:
        self.unit, self.total, self.first, self.done = unit, total, done, done
        self.began = time.monotonic()
        self.bar = tqdm(total=total, initial=done, unit=unit, disable=not wants_bar())
        if done:
            log.info("going on after %s %d of %d", unit, done, total)

    def each(self, items: Iterable[T], **facts: str) -> Iterator[T]:
        """The items; a unit is done when the next one is asked for."""
        for item in items:
            yield item
            self.advance(facts)

    def advance(self, facts: Mapping[str, str]) -> None:
        """One more unit is done; ``facts`` are shown with it, in order."""
        self.done += 1
        elapsed = time.monotonic() - self.began
        left = elapsed / (self.done - self.first) * (self.total - self.done)
        shown = "  ".join(f"{name} {value}" for name, value in facts.items())
        self.bar.set_postfix_str(shown, refresh=False)
        self.bar.update()
        log.info("%s %d/%d  %s  left %s", self.unit, self.done, self.total, shown, clock(left))

    def close(self) -> None:
        self.bar.close()
