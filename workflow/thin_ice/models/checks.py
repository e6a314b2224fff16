"""Guards that every architecture calls before it builds: wrong sizes fail here, in a sentence."""

from thin_ice.errors import ModelError


def require_images(architecture: str, input_shape: tuple[int, int, int], smallest: int) -> None:
    """Refuse images that the network cannot take.

    Args:
        architecture: name for the message.
        input_shape: channels, height, width.
        smallest: least height and least width, in pixels.

    Raises:
        ValueError: not three positive sizes, or an image smaller than ``smallest``.
    """
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise ModelError(
            f"{architecture}: input_shape {tuple(input_shape)} is not (channels, height, width), "
            "three sizes of at least 1"
        )
    _, height, width = input_shape
    if min(height, width) < smallest:
        raise ModelError(
            f"{architecture}: images of {height}x{width} pixels are too small, "
            f"allowed are {smallest}x{smallest} and larger"
        )


def require_positive(architecture: str, **sizes: int) -> None:
    """Refuse a width, or a number of classes, below 1.

    Raises:
        ValueError: names the size, its value and what is allowed.
    """
    for name, size in sizes.items():
        if size < 1:
            raise ModelError(f"{architecture}: {name} is {size}, it must be at least 1")
