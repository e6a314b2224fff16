"""A pickle is read as text: plain values come back, and nothing in it is ever run."""

import sys

import numpy as np
import pytest
from make_cifar10 import Python2Pickle, batch_bytes, random_images

from thin_ice.data.cifar10_batch import read_batch
from thin_ice.data.pickle_free import GlobalName, InertCall, UnreadablePickle, rebuild


def touching(path):
    """A pickle that would create ``path`` if it were run."""
    command = b"touch " + str(path).encode()
    return b"\x80\x02cos\nsystem\nX" + len(command).to_bytes(4, "little") + command + b"\x85R."


def test_a_malicious_pickle_executes_nothing(tmp_path):
    target = tmp_path / "executed"
    value = rebuild(touching(target))
    assert isinstance(value, InertCall)
    assert value.function == GlobalName("os system")
    assert value.arguments == (f"touch {target}",)
    assert not target.exists()


def test_a_malicious_batch_is_refused_and_executes_nothing(tmp_path):
    target = tmp_path / "executed"
    call = touching(target)[2:-1]
    for batch in (call, b"}(U\x04data" + call + b"U\x06labels]u", b"}U\x06labels" + call + b"s"):
        with pytest.raises(UnreadablePickle):
            read_batch(b"\x80\x02" + batch + b".")
    assert not target.exists()


@pytest.mark.parametrize("naming", [b"cantigravity\nx\n", b"\x8c\x0bantigravity\x8c\x01x\x93"])
def test_a_name_in_a_pickle_is_not_imported(naming):
    assert rebuild(b"\x80\x04" + naming + b".") == GlobalName("antigravity x")
    assert "antigravity" not in sys.modules


def test_state_is_recorded_and_not_set():
    value = rebuild(b"\x80\x02cbuiltins\nobject\n)R}U\x01aK\x01sb.")
    assert (value.function, value.arguments) == (GlobalName("builtins object"), ())
    assert value.state == {b"a": 1}


@pytest.mark.parametrize(
    ("code", "value"),
    [
        (b"N.", None),
        (b"\x88.", True),
        (b"\x89.", False),
        (b"I01\n.", True),
        (b"I-7\n.", -7),
        (b"K\x07.", 7),
        (b"M\x00\x01.", 256),
        (b"J\xff\xff\xff\xff.", -1),
        (b"L12L\n.", 12),
        (b"\x8a\x02\x00\x01.", 256),
        (b"S'a\\x41'\n.", b"aA"),
        (b"U\x02\xff\x00.", b"\xff\x00"),
        (b"T\x02\x00\x00\x00\xff\x00.", b"\xff\x00"),
        (b"X\x02\x00\x00\x00\xc3\xa9.", "é"),
        (b"\x8c\x02\xc3\xa9.", "é"),
        (b"C\x02\xff\x00.", b"\xff\x00"),
        (b"B\x02\x00\x00\x00\xff\x00.", b"\xff\x00"),
        (b"\x8e\x02\x00\x00\x00\x00\x00\x00\x00\xff\x00.", b"\xff\x00"),
        (b").", ()),
        (b"K\x01\x85.", (1,)),
        (b"K\x01K\x02\x86.", (1, 2)),
        (b"K\x01K\x02K\x03\x87.", (1, 2, 3)),
        (b"(K\x01K\x02t.", (1, 2)),
        (b"(K\x01K\x02l.", [1, 2]),
        (b"]K\x01a(K\x02K\x03e.", [1, 2, 3]),
        (b"}K\x01K\x02s(K\x03K\x04u.", {1: 2, 3: 4}),
        (b"U\x01aq\x05h\x05\x86.", (b"a", b"a")),
        (b"U\x01ar\x00\x01\x00\x00j\x00\x01\x00\x00\x86.", (b"a", b"a")),
        (b"S'a'\np7\ng7\n\x86.", (b"a", b"a")),
        (b"\x8c\x01a\x94\x8c\x01b\x94h\x00\x87.", ("a", "b", "a")),
    ],
)
def test_plain_values_come_back(code, value):
    found = rebuild(b"\x80\x04" + code)
    assert found == value
    assert type(found) is type(value)


def test_a_memo_gives_the_same_object_again():
    first, second = rebuild(b"\x80\x02]q\x01h\x01\x86.")
    assert first is second


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(b"(ios\nsystem\n.", id="INST"),
        pytest.param(b"(cos\nsystem\no.", id="OBJ"),
        pytest.param(b"cos\nsystem\n)\x81.", id="NEWOBJ"),
        pytest.param(b"Psomething\n.", id="PERSID"),
        pytest.param(b"\x82\x01.", id="EXT1"),
        pytest.param(b"G" + bytes(8) + b".", id="BINFLOAT"),
    ],
)
def test_an_operation_outside_the_table_is_refused_by_name(code, request):
    name = request.node.callspec.id
    with pytest.raises(UnreadablePickle, match=f"operation {name} is not allowed"):
        rebuild(b"\x80\x02" + code)


@pytest.mark.parametrize(
    "code",
    [
        b"",
        b"\x80\x02",
        b"\x80\x02.",
        b"\x80\x02K.",
        b"\x80\x02K\x01",
        b"\x80\x02\xff.",
        b"\x80\x02h\x07.",
        b"\x80\x02(.",
        b"\x80\x02K\x01a.",
        b"\x80\x02K\x01K\x02K\x03s.",
        b"\x80\x02}(K\x01u.",
        b"\x80\x02}]K\x01s.",
        b"\x80\x02NNR.",
        b"\x80\x02NNb.",
        b"\x80\x04NN\x93.",
        b"\x80\x02T\xff\x00\x00\x00short.",
    ],
)
def test_a_damaged_pickle_is_refused(code):
    with pytest.raises(UnreadablePickle):
        rebuild(code)


def test_a_batch_of_python_2_comes_back_bit_for_bit():
    images = random_images(1003)
    labels = [number % 10 for number in range(1003)]
    pixels, found = read_batch(batch_bytes(images, labels))
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, images.reshape(-1, 3072))
    assert found == labels


@pytest.mark.parametrize(
    "falsified",
    [
        {"raw": bytes(3071)},
        {"raw": bytes(2 * 3072 + 1)},
        {"shape": (3, 3072)},
        {"shape": (3072, 2)},
        {"dtype": b"i1"},
        {"column_order": b"\x88"},
    ],
)
def test_a_batch_whose_array_is_not_what_it_says_is_refused(falsified):
    with pytest.raises(UnreadablePickle, match="array"):
        read_batch(batch_bytes(random_images(2), [0, 1], **falsified))


@pytest.mark.parametrize("labels", [[0], [0, 1, 2], [0, 70000, 2]])
def test_a_batch_with_another_number_of_labels_is_refused(labels):
    with pytest.raises(UnreadablePickle, match="2 images but"):
        read_batch(batch_bytes(random_images(2), labels))


def test_labels_that_are_not_integers_are_refused():
    pickle = Python2Pickle()
    pickle.code += b"}("
    pickle.string(b"data")
    pickle.array(bytes(3072), (1, 3072))
    pickle.string(b"labels")
    pickle.list_of(pickle.string, [b"cat"])
    with pytest.raises(UnreadablePickle, match="list of integers"):
        read_batch(bytes(pickle.code + b"u."))
