"""Arrays and datasets check themselves; taking samples keeps image, label and id together."""

import numpy as np
import pytest

from thin_ice.data.raw import Arrays, RawDataset


def arrays(count=4, labels=None, ids=None, side=2):
    images = np.arange(count * side * side, dtype=np.uint8).reshape(count, 1, side, side)
    labels = np.zeros(count, np.int64) if labels is None else np.array(labels)
    return Arrays(images, labels, np.arange(count) if ids is None else np.array(ids))


def test_samples_taken_keep_image_label_and_id_together():
    samples = arrays(labels=[3, 2, 1, 0], ids=[10, 11, 12, 13])
    taken = samples.take(np.array([2, 0]))
    assert len(taken) == 2
    assert taken.ids.tolist() == [12, 10]
    assert taken.labels.tolist() == [1, 3]
    np.testing.assert_array_equal(taken.images, samples.images[[2, 0]])


def test_samples_taken_are_copies():
    samples = arrays()
    samples.take(np.arange(4)).images[:] = 255
    assert samples.images.max() < 255


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("images", np.zeros((4, 1, 2, 2), np.float32), "images must be uint8"),
        ("images", np.zeros((4, 2, 2), np.uint8), "images must be uint8 with 4"),
        ("labels", np.zeros(4, np.int32), "labels must be int64"),
        ("ids", np.zeros((4, 1), np.int64), "ids must be int64 with 1"),
        ("ids", np.arange(3), "4 images, 4 labels, 3 ids"),
        ("labels", np.zeros(5, np.int64), "4 images, 5 labels, 4 ids"),
        ("ids", np.array([0, 1, 2, 2]), "occurs twice"),
    ],
)
def test_arrays_of_another_type_shape_or_length_are_refused(field, value, message):
    good = arrays()
    values = {"images": good.images, "labels": good.labels, "ids": good.ids, field: value}
    with pytest.raises(ValueError, match=message):
        Arrays(**values)


@pytest.mark.parametrize("label", [-1, 2])
@pytest.mark.parametrize("part", ["train", "test"])
def test_a_label_without_a_class_is_refused(part, label):
    parts = {"train": arrays(), "test": arrays(), part: arrays(labels=[0, 1, label, 0])}
    with pytest.raises(ValueError, match=f"{part} has label {label}; labels are 0 to 1"):
        RawDataset("toy", ("a", "b"), **parts)


def test_train_and_test_images_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match="train images are"):
        RawDataset("toy", ("a",), arrays(side=2), arrays(side=3))
