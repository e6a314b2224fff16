"""The networks under evaluation and the test samples, which have to fit each other."""

from collections.abc import Sequence

from thin_ice.commands.job import Job
from thin_ice.data import artifact
from thin_ice.data.split import Split, load_part
from thin_ice.errors import ThinIceError
from thin_ice.models.artifact import LoadedModel, load_model


def load_subject(job: Job) -> tuple[LoadedModel, Split]:
    """The job's network and test split, on its device.

    Raises:
        ThinIceError: the network takes other images, or tells other classes apart.
    """
    (loaded,), test = load_subjects(job, ("model",))
    return loaded, test


def load_subjects(job: Job, names: Sequence[str]) -> tuple[list[LoadedModel], Split]:
    """The networks that the job was given by these arguments, and its test split.

    Raises:
        ThinIceError: a network takes other images, or tells other classes apart.
    """
    test = load_part(job.input("dataset"), "test", job.device)
    return [_fitting(job, name, test) for name in names], test


def _fitting(job: Job, name: str, test: Split) -> LoadedModel:
    loaded = load_model(job.input(name), job.device)
    takes, shape = loaded.architecture.input_shape, tuple(test.images.shape[1:])
    if takes != shape:
        raise ThinIceError(
            f"the network {job.input(name)} takes images of {takes}; allowed: {shape}, as "
            f"{job.input('dataset')}"
        )
    with artifact.opened(job.input("dataset"), "pt") as ((_, classes), _file):
        if loaded.architecture.classes != len(classes):
            raise ThinIceError(
                f"the network {job.input(name)} has {loaded.architecture.classes} classes; "
                f"allowed: {len(classes)}, as {job.input('dataset')}"
            )
    return loaded
