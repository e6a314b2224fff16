"""What the tests of the training room share."""

import logging

import pytest


@pytest.fixture
def messages(caplog, monkeypatch):
    """What the library logs, whatever other tests did to its logger."""
    logger = logging.getLogger("thin_ice")
    monkeypatch.setattr(logger, "propagate", False)
    logger.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO, logger="thin_ice"):
        yield lambda: [record.getMessage() for record in caplog.records]
    logger.removeHandler(caplog.handler)
