"""A small seeded network as an ONNX file, written without a library that makes such files."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def _varint(n: int) -> bytes:
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def _field(number: int, value: int | str | bytes) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _value(name: str, shape: tuple[int, ...]) -> bytes:
    dims = b"".join(_field(1, _field(1, side)) for side in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, dims)))


def _node(kind: str, given: tuple[str, ...], made: str) -> bytes:
    return b"".join(_field(1, name) for name in given) + _field(2, made) + _field(4, kind)


def matrix(size: int, width: int, seed: int) -> np.ndarray:
    """(3 · size², width) weights of `tiny_onnx`."""
    return np.random.default_rng(seed).normal(0, 0.1, (3 * size * size, width)).astype(np.float32)


def tiny_onnx(path: Path, *, size: int = 8, width: int = 6, last: bool = False, seed: int = 0) -> Path:
    """A network that multiplies an image's values by a matrix.

    Args:
        path: of the file.
        size: of the image.
        width: of the features.
        last: whether its channels come last.
        seed: of the matrix.
    """
    weights = matrix(size, width, seed)
    tensor = (
        b"".join(_field(1, n) for n in weights.shape) + _field(2, 1) + _field(8, "w") + _field(9, weights.tobytes())
    )
    shape = (1, size, size, 3) if last else (1, 3, size, size)
    graph = _field(1, _node("Flatten", ("x",), "flat")) + _field(1, _node("MatMul", ("flat", "w"), "y"))
    graph += (
        _field(2, "tiny") + _field(5, tensor) + _field(11, _value("x", shape)) + _field(12, _value("y", (1, width)))
    )
    path.write_bytes(_field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13)))
    return path
