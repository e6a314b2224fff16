"""Errors that a person can act on: one sentence, no traceback."""


class ThinIceError(Exception):
    """Something outside the code is wrong: the study, the data, a file, the training."""


class ModelError(ThinIceError, ValueError):
    """A network that cannot be built as asked, or a file that is not the model it should be."""
