"""The network under evaluation and the test samples, which have to fit each other."""

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
    test = load_part(job.input("dataset"), "test", job.device)
    loaded = load_model(job.input("model"), job.device)
    takes, shape = loaded.architecture.input_shape, tuple(test.images.shape[1:])
    if takes != shape:
        raise ThinIceError(
            f"the network {job.input('model')} takes images of {takes}; allowed: {shape}, as "
            f"{job.input('dataset')}"
        )
    with artifact.opened(job.input("dataset"), "pt") as ((_, classes), _file):
        if loaded.architecture.classes != len(classes):
            raise ThinIceError(
                f"the network {job.input('model')} has {loaded.architecture.classes} classes; "
                f"allowed: {len(classes)}, as {job.input('dataset')}"
            )
    return loaded, test
