"""A tensor with zeros is written in fewest bytes and comes back as it was."""

import pytest
import torch

from thin_ice.errors import ModelError
from thin_ice.models.encodings import decode, encode


def sparse(share, size=4000, dtype=torch.float32, seed=0):
    """A tensor of which this share is not zero."""
    stream = torch.Generator().manual_seed(seed)
    values = torch.randn(size, generator=stream) + 3
    return (values * (torch.rand(size, generator=stream) < share)).to(dtype).view(2, 5, -1)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_every_tensor_comes_back_to_the_last_bit(share, dtype):
    tensor = sparse(share, dtype=dtype)
    found = decode(encode(tensor), tensor.shape)
    assert found.dtype == dtype
    assert torch.equal(found, tensor)


@pytest.mark.parametrize(
    ("share", "kinds"),
    [
        (1.0, {"dense"}),
        (0.5, {"values", "bits"}),
        (0.2, {"values", "bits"}),
        (0.05, {"values", "gaps"}),
        (0.01, {"values", "gaps"}),
    ],
)
def test_the_encoding_is_the_smallest(share, kinds):
    assert set(encode(sparse(share))) == kinds


def test_bits_by_hand():
    tensor = torch.zeros(1200)
    tensor[[0, 3, 8]] = torch.tensor([1.0, 2.0, 3.0])
    parts = {
        "values": torch.tensor([1.0, 2.0, 3.0]),
        "bits": torch.tensor([0b1001, 1] + [0] * 148, dtype=torch.uint8),
    }
    assert torch.equal(decode(parts, (1200,)), tensor)
    dense_half = (torch.arange(4000) % 2).float()
    assert encode(dense_half)["bits"].tolist() == [0b10101010] * 500


def test_gaps_by_hand():
    """Before the values stand 2, 254, 255, 256 and 600 zeros."""
    zeros = [2, 254, 255, 256, 600]
    tensor = torch.zeros(sum(zeros) + len(zeros) + 300)
    places = torch.tensor(zeros).cumsum(0) + torch.arange(len(zeros))
    tensor[places] = torch.arange(1.0, 6.0)
    parts = encode(tensor)
    assert parts["gaps"].tolist() == [2, 254, 255, 0, 255, 1, 255, 255, 90]
    assert parts["values"].tolist() == [1, 2, 3, 4, 5]
    assert torch.equal(decode(parts, tensor.shape), tensor)


def test_what_is_not_finite_is_a_value_and_a_zero_has_no_sign():
    tensor = torch.zeros(4000)
    tensor[[5, 70, 900]] = torch.tensor([float("nan"), float("inf"), -0.0])
    found = decode(encode(tensor), (4000,))
    assert found.isnan().nonzero().flatten().tolist() == [5]
    assert found.isinf().nonzero().flatten().tolist() == [70]
    assert not found.signbit().any()


@pytest.mark.parametrize("shape", [(), (1,), (3,)])
def test_a_small_tensor_is_written_whole(shape):
    assert set(encode(torch.zeros(shape))) == {"dense"}


def test_other_memory_layouts_are_written_in_the_same_order():
    tensor = sparse(0.3, 2 * 3 * 4 * 5 * 50).view(50, 3, 8, 5)
    turned = tensor.to(memory_format=torch.channels_last)
    parts, same = encode(tensor), encode(turned)
    assert all(torch.equal(parts[kind], same[kind]) for kind in parts)


@pytest.mark.parametrize(
    "change",
    [
        {"values": torch.ones(3)},
        {"values": torch.ones(5)},
        {"bits": torch.tensor([15], dtype=torch.uint8)},
        {"bits": torch.tensor([15, 0, 0], dtype=torch.uint8)},
    ],
)
def test_bits_that_do_not_fit_are_refused(change):
    parts = {"values": torch.ones(4), "bits": torch.tensor([15, 0], dtype=torch.uint8)}
    assert decode(parts, (10,)).tolist() == [1.0] * 4 + [0.0] * 6
    with pytest.raises(ModelError, match="do not fit"):
        decode(parts | change, (10,))


def test_gaps_beyond_the_tensor_are_refused():
    parts = {"values": torch.ones(2), "gaps": torch.tensor([0, 8], dtype=torch.uint8)}
    assert decode(parts, (10,)).tolist() == [1.0] + [0.0] * 8 + [1.0]
    with pytest.raises(ModelError, match="2 values for 2 places of 9"):
        decode(parts, (9,))


@pytest.mark.parametrize("kinds", [{"values"}, {"bits", "gaps"}, {"values", "bits", "gaps"}])
def test_parts_of_no_one_encoding_are_refused(kinds):
    with pytest.raises(ModelError, match="allowed are dense, or values and one of bits and gaps"):
        decode({kind: torch.zeros(1, dtype=torch.uint8) for kind in kinds}, (1,))


def test_bits_for_another_number_of_places_are_refused_before_memory_is_asked_for():
    bits = {"values": torch.ones(1), "bits": torch.tensor([1], dtype=torch.uint8)}
    assert decode(bits, (8,)).tolist() == [1.0] + [0.0] * 7
    for size in (9, 10**15):
        with pytest.raises(ModelError, match=rf"1 bytes of bits for {size} places"):
            decode(bits, (size,))


@pytest.mark.parametrize("kind", ["bits", "gaps"])
def test_places_that_are_no_bytes_are_refused(kind):
    with pytest.raises(ModelError, match=r"places of torch.float32, allowed is torch.uint8"):
        decode({"values": torch.ones(1), kind: torch.ones(1)}, (8,))
