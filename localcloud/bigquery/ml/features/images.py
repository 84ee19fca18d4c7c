"""The image functions: decode, resize and convert images.

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
from localcloud.bigquery.ml.models.image_fields import DIMENSIONS, VALUES

FORMATS = ("JPEG", "PNG", "BMP")
LARGEST_FILE = 10_000_000
# The largest decoded image in bytes. A larger image is scaled down.
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
    """Decode a JPEG, PNG or BMP file to an array of height x width x 3 (red, green, blue), with values from 0 to 1.

    Raises:
        QueryError: The file is too large, or is not such a file.
    """
    if len(content) > LARGEST_FILE:
        raise QueryError(f"ML.DECODE_IMAGE: the image has {len(content)} bytes, more than {LARGEST_FILE}.")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
            pixels = np.asarray(opened.convert("RGB"), dtype=np.float32) / np.float32(255)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise QueryError("ML.DECODE_IMAGE: the bytes are not a JPEG, PNG or BMP image.") from error
    too_large = pixels.size * _VALUE_BYTES / LARGEST_IMAGE
    if too_large > 1:
        height, width = (max(1, int(side / math.sqrt(too_large))) for side in pixels.shape[:2])
        return resize(pixels, height, width, preserve_aspect_ratio=False)
    return pixels


def resize(image: np.ndarray, height: int, width: int, *, preserve_aspect_ratio: bool) -> np.ndarray:
    """Return an image in another size, interpolated between the four nearest pixels (bilinear).

    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-resize-image

    Args:
        image: The image.
        height: The new height in pixels.
        width: The new width in pixels.
        preserve_aspect_ratio: Whether to keep the ratio of the sides; the result then fits into the given size.

    Raises:
        QueryError: A side is less than 1 pixel, or the result is too large.
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
    """Return, for each pixel along a side of the new size, its two old neighbours and its position between them."""
    place = (np.arange(target, dtype=np.float32) + np.float32(0.5)) * np.float32(size / target) - np.float32(0.5)
    first = np.floor(place)
    low = np.clip(first, 0, size - 1).astype(np.int64)
    high = np.clip(first + 1, 0, size - 1).astype(np.int64)
    return low, high, (place - first).astype(np.float32)


def to_whole_numbers(image: np.ndarray) -> np.ndarray:
    """Convert values from 0 to 1 to integers from 0 to 255."""
    return np.clip(image * 255.5, 0, 255).astype(np.int64)


def convert_color(image: np.ndarray, space: str) -> np.ndarray:
    """Convert an image from RGB to another color space.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-convert-color-space

    Raises:
        QueryError: The color space is unknown.
    """
    if space.upper() == "HSV":
        return _hsv(image)
    if space.upper() in _LINEAR_COLOR_SPACES:
        converted: np.ndarray = image @ _LINEAR_COLOR_SPACES[space.upper()]
        return converted
    raise QueryError(f"ML.CONVERT_COLOR_SPACE: unknown color space '{space}'. Use HSV, GRAYSCALE, YIQ or YUV.")


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


# DuckDB functions


@dataclass(frozen=True)
class ImageFunction:
    """An image function to register in DuckDB.

    Attributes:
        name: The name of the DuckDB function.
        function: Takes and returns Arrow arrays.
        parameters: The DuckDB types of the parameters.
        returns: The DuckDB type of the result.
    """

    name: str
    function: Callable[..., pa.Array]
    parameters: tuple[str, ...]
    returns: str


def _per_row(function: Callable[..., np.ndarray | None]) -> Callable[..., pa.Array]:
    """Turn a function over the values of a row into one over columns. The result is NULL if an argument is NULL."""

    def over_columns(*columns: pa.Array) -> pa.Array:
        images = [
            None if any(value is None for value in row) else function(*row)
            for row in zip(*(_values(column) for column in columns), strict=True)
        ]
        return _struct(images)

    return over_columns


def _values(column: pa.Array) -> list[Any]:
    """Return the values of a column, with images as NumPy arrays."""
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
        raise QueryError("The image is not well-formed: its dimensions do not match its number of values.")
    return values.reshape(shape)


def _struct(images: list[np.ndarray | None]) -> pa.Array:
    whole = any(image is not None and image.dtype.kind == "i" for image in images)
    dtype, kind = (np.int64, pa.int64()) if whole else (np.float64, pa.float64())
    present = [np.zeros((0, 0, 0)) if image is None else image for image in images]
    ends = np.cumsum([0, *(image.size for image in present)])
    if ends[-1] > np.iinfo(np.int32).max:
        raise QueryError(
            "The decoded images are too large for one batch of rows. Resize them.", reason="resourcesExceeded"
        )
    flat = np.concatenate([image.reshape(-1) for image in present]).astype(dtype) if present else np.zeros(0, dtype)
    values = pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), pa.array(flat, kind))
    shapes = pa.array([list(image.shape) for image in present], pa.list_(pa.int64()))
    return pa.StructArray.from_arrays(
        [shapes, values], [DIMENSIONS, VALUES], mask=pa.array([image is None for image in images])
    )


def _resized(image: np.ndarray, height: int, width: int, preserve: bool) -> np.ndarray:
    return resize(image, height, width, preserve_aspect_ratio=preserve)


# Decodes and resizes in one call, so that DuckDB does not store the large decoded image.
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
