"""The image functions: bytes to numbers, resized and converted as BigQuery does it.

An image is a STRUCT of its dimensions (height, width, channels) and its values, row by row.
https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-decode-image
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image, UnidentifiedImageError

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.image_fields import DIMENSIONS, VALUES

FORMATS = ("JPEG", "PNG", "BMP")
LARGEST_FILE = 10_000_000
# A decoded image may have so many bytes; a larger one is made smaller.
LARGEST_IMAGE = 60 * 1024 * 1024
_VALUE_BYTES = 8

_FLOAT_IMAGE = f"STRUCT({DIMENSIONS} BIGINT[], {VALUES} DOUBLE[])"
_WHOLE_IMAGE = f"STRUCT({DIMENSIONS} BIGINT[], {VALUES} BIGINT[])"

# Color spaces that are a linear function of red, green and blue, as matrices.
_LINEAR_COLOR_SPACES: dict[str, np.ndarray] = {
    "GRAYSCALE": np.array([[0.2989], [0.5870], [0.1140]]),
    "YIQ": np.array(
        [[0.299, 0.59590059, 0.21153661], [0.587, -0.27455667, -0.52273617], [0.114, -0.32134392, 0.31119955]]
    ),
    "YUV": np.array(
        [[0.299, -0.14714119, 0.61497538], [0.587, -0.28886916, -0.51496512], [0.114, 0.43601035, -0.10001026]]
    ),
}


def decode(content: bytes) -> np.ndarray:
    """Return a JPEG, PNG or BMP file as values from 0 to 1 in three channels: red, green, blue.

    Raises:
        QueryError: It is too large or no such file.
    """
    if len(content) > LARGEST_FILE:
        raise QueryError(f"ML.DECODE_IMAGE: the image has {len(content)} bytes, more than {LARGEST_FILE}.")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
            pixels = np.asarray(opened.convert("RGB"), dtype=np.float32) / np.float32(255)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise QueryError("ML.DECODE_IMAGE: the bytes are no JPEG, PNG or BMP image.") from error
    too_large = pixels.size * _VALUE_BYTES / LARGEST_IMAGE
    if too_large > 1:
        height, width = (max(1, int(side / math.sqrt(too_large))) for side in pixels.shape[:2])
        return resize(pixels, height, width, preserve_aspect_ratio=False)
    return pixels


def resize(image: np.ndarray, height: int, width: int, *, preserve_aspect_ratio: bool) -> np.ndarray:
    """Return an image in another size, interpolated between the four nearest pixels.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-resize-image

    Args:
        image: The image.
        height: The new height in pixels.
        width: The new width in pixels.
        preserve_aspect_ratio: Whether the result is as large as fits into that size instead.

    Raises:
        QueryError: The size is not possible.
    """
    if height < 1 or width < 1:
        raise QueryError(f"ML.RESIZE_IMAGE: the size {height} x {width} is not possible.")
    if preserve_aspect_ratio:
        scale = min(height / image.shape[0], width / image.shape[1])
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    if height * width * image.shape[2] * _VALUE_BYTES > LARGEST_IMAGE:
        raise QueryError(f"ML.RESIZE_IMAGE: an image of {height} x {width} pixels is too large.")
    top, bottom, down = _neighbours(image.shape[0], height)
    left, right, across = _neighbours(image.shape[1], width)
    rows = image[top] * (1 - down)[:, None, None] + image[bottom] * down[:, None, None]
    resized: np.ndarray = rows[:, left] * (1 - across)[None, :, None] + rows[:, right] * across[None, :, None]
    return resized


def _neighbours(size: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each new pixel the two old ones beside it, and how far it is from the first to the second."""
    place = (np.arange(target, dtype=np.float32) + np.float32(0.5)) * np.float32(size / target) - np.float32(0.5)
    first = np.floor(place)
    low = np.clip(first, 0, size - 1).astype(np.int64)
    high = np.clip(first + 1, 0, size - 1).astype(np.int64)
    return low, high, (place - first).astype(np.float32)


def to_whole_numbers(image: np.ndarray) -> np.ndarray:
    """Return values from 0 to 1 as whole numbers from 0 to 255."""
    return np.clip(image * 255.5, 0, 255).astype(np.int64)


def convert_color(image: np.ndarray, space: str) -> np.ndarray:
    """Return a red, green and blue image in another color space.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-convert-color-space

    Raises:
        QueryError: There is no such color space.
    """
    if space.upper() == "HSV":
        return _hsv(image)
    if space.upper() in _LINEAR_COLOR_SPACES:
        converted: np.ndarray = image @ _LINEAR_COLOR_SPACES[space.upper()]
        return converted
    raise QueryError(f"ML.CONVERT_COLOR_SPACE: unknown color space '{space}'; there are HSV, GRAYSCALE, YIQ and YUV.")


def _hsv(image: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(image, -1, 0)
    value = image.max(axis=-1)
    spread = value - image.min(axis=-1)
    divisor = np.where(spread > 0, spread, 1) * 6
    hue = np.select(
        [spread == 0, value == red, value == green],
        [np.zeros_like(value), (green - blue) / divisor, (blue - red) / divisor + 2 / 6],
        (red - green) / divisor + 4 / 6,
    )
    saturation = np.where(value > 0, spread / np.where(value > 0, value, 1), 0)
    return np.stack([hue % 1, saturation, value], axis=-1)


# As functions of DuckDB


@dataclass(frozen=True)
class ImageFunction:
    """An image function as DuckDB gets it.

    Attributes:
        name: Its name there.
        function: Takes and returns Arrow arrays.
        parameters: The DuckDB types of its parameters.
        returns: The DuckDB type of its result.
    """

    name: str
    function: Callable[..., pa.Array]
    parameters: tuple[str, ...]
    returns: str


def _per_row(function: Callable[..., np.ndarray | None]) -> Callable[..., pa.Array]:
    """Return a function over columns from one over the values of a row; a row with a NULL gives NULL."""

    def over_columns(*columns: pa.Array) -> pa.Array:
        images = [
            None if any(value is None for value in row) else function(*row)
            for row in zip(*(_values(column) for column in columns), strict=True)
        ]
        return _struct(images)

    return over_columns


def _values(column: pa.Array) -> list[Any]:
    """Return the values of a column, images as NumPy arrays."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if not pa.types.is_struct(column.type):
        return list(column.to_pylist())
    shapes, values = column.field(0).to_pylist(), column.field(1)
    return [
        None if shape is None or not column[row].is_valid else _image(shape, values[row].values.to_numpy())
        for row, shape in enumerate(shapes)
    ]


def _image(shape: list[int], values: np.ndarray) -> np.ndarray:
    if len(shape) != 3 or math.prod(shape) != len(values):
        raise QueryError("The image is not well-formed: its dimensions do not fit its values.")
    return values.reshape(shape)


def _struct(images: list[np.ndarray | None]) -> pa.Array:
    whole = any(image is not None and image.dtype.kind == "i" for image in images)
    dtype, kind = (np.int64, pa.int64()) if whole else (np.float64, pa.float64())
    present = [np.zeros((0, 0, 0)) if image is None else image for image in images]
    ends = np.cumsum([0, *(image.size for image in present)])
    if ends[-1] > np.iinfo(np.int32).max:
        raise QueryError(
            "The decoded images are too large to be held together. Resize them.", reason="resourcesExceeded"
        )
    flat = np.concatenate([image.reshape(-1) for image in present]).astype(dtype) if present else np.zeros(0, dtype)
    values = pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), pa.array(flat, kind))
    shapes = pa.array([list(image.shape) for image in present], pa.list_(pa.int64()))
    return pa.StructArray.from_arrays(
        [shapes, values], [DIMENSIONS, VALUES], mask=pa.array([image is None for image in images])
    )


def _resized(image: np.ndarray, height: int, width: int, preserve: bool) -> np.ndarray:
    return resize(image, height, width, preserve_aspect_ratio=preserve)


# Decoding and resizing at once, so that the large image in between is not kept.
DECODE_AND_RESIZE = ImageFunction(
    "ml_decode_and_resize_image",
    _per_row(lambda content, height, width, preserve: _resized(decode(content), height, width, preserve)),
    ("BLOB", "BIGINT", "BIGINT", "BOOLEAN"),
    _FLOAT_IMAGE,
)
IMAGE_FUNCTIONS: dict[str, ImageFunction] = {
    "ML.DECODE_IMAGE": ImageFunction("ml_decode_image", _per_row(decode), ("BLOB",), _FLOAT_IMAGE),
    "ML.RESIZE_IMAGE": ImageFunction(
        "ml_resize_image", _per_row(_resized), (_FLOAT_IMAGE, "BIGINT", "BIGINT", "BOOLEAN"), _FLOAT_IMAGE
    ),
    "ML.CONVERT_IMAGE_TYPE": ImageFunction(
        "ml_convert_image_type", _per_row(to_whole_numbers), (_FLOAT_IMAGE,), _WHOLE_IMAGE
    ),
    "ML.CONVERT_COLOR_SPACE": ImageFunction(
        "ml_convert_color_space", _per_row(convert_color), (_FLOAT_IMAGE, "VARCHAR"), _FLOAT_IMAGE
    ),
}
