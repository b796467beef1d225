"""gguf files: reading a header, and writing a file of plain numbers (ggml's gguf.md describes the format)."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

MAGIC, VERSION, ALIGNMENT = b"GGUF", 3, 32
# Scalar types by their number; 8 is a string and 9 an array.
_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9
# Types of tensors by ggml's number, as far as the carried models use them.
_TENSOR_TYPES = {0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 12: "Q4_K", 14: "Q6_K"}


class NotGguf(ValueError):
    """The file is not a gguf file, or is cut off."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor to write: its name, its shape (rows last, as ggml counts), whether as F16 or F32, and its numbers.

    `numbers`: little-endian float32, in pieces of whole numbers.
    """

    name: str
    shape: Sequence[int]
    is_half: bool
    numbers: Iterable[bytes]

    @property
    def size(self) -> int:
        """Bytes in the file, without padding."""
        return math.prod(self.shape) * (2 if self.is_half else 4)


def read_header(file: BinaryIO) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The metadata, with the number of parameters, and name, type and shape of each tensor. Raises NotGguf."""
    try:
        magic, _version, count, pairs = struct.unpack("<4sIQQ", file.read(24))
        if magic != MAGIC:
            raise NotGguf("the first four bytes are not GGUF")
        metadata = {}
        for _ in range(pairs):
            key = _read_string(file)
            metadata[key] = _read_value(file, _read_scalar(file, "<I"))
        tensors = [_read_tensor(file) for _ in range(count)]
    except (struct.error, KeyError, UnicodeDecodeError) as error:
        raise NotGguf(str(error)) from error
    metadata["general.parameter_count"] = sum(math.prod(tensor["shape"]) for tensor in tensors)
    return metadata, tensors


def write_file(file: BinaryIO, *, metadata: dict[str, Any], tensors: Sequence[Tensor]) -> None:
    """Writes a whole file. The same input gives the same bytes on every machine."""
    header = [struct.pack("<4sIQQ", MAGIC, VERSION, len(tensors), len(metadata))]
    header += [_pack_string(key) + _pack_value(value) for key, value in metadata.items()]
    offset = 0
    for tensor in tensors:
        shape = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
        header.append(_pack_string(tensor.name) + shape + struct.pack("<IQ", int(tensor.is_half), offset))
        offset += tensor.size + _count_padding(tensor.size)
    head = b"".join(header)
    file.write(head + bytes(_count_padding(len(head))))
    for tensor in tensors:
        for piece in _convert(tensor):
            file.write(piece)
        file.write(bytes(_count_padding(tensor.size)))


def _convert(tensor: Tensor) -> Iterator[bytes]:
    for piece in tensor.numbers:
        count = len(piece) // 4
        yield struct.pack(f"<{count}e", *struct.unpack(f"<{count}f", piece)) if tensor.is_half else piece


def _count_padding(size: int) -> int:
    return -size % ALIGNMENT


def _pack_value(value: Any) -> bytes:
    if isinstance(value, list):
        kind, items = (_STRING, map(_pack_string, value)) if isinstance(value[0], str) else (_INT32, _pack_ints(value))
        return struct.pack("<IIQ", _ARRAY, kind, len(value)) + b"".join(items)
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _pack_string(value)
    kind = {bool: _BOOL, int: _UINT32, float: _FLOAT32}[type(value)]
    return struct.pack("<I", kind) + struct.pack(_SCALARS[kind], value)


def _pack_ints(values: list[int]) -> Iterator[bytes]:
    return (struct.pack("<i", value) for value in values)


def _pack_string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _read_tensor(file: BinaryIO) -> dict[str, Any]:
    name = _read_string(file)
    shape = [_read_scalar(file, "<Q") for _ in range(_read_scalar(file, "<I"))]
    kind = _read_scalar(file, "<I")
    file.read(8)  # the offset, not needed here
    return {"name": name, "type": _TENSOR_TYPES.get(kind, str(kind)), "shape": shape}


def _read_value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _read_string(file)
    if kind == _ARRAY:
        inner = _read_scalar(file, "<I")
        return [_read_value(file, inner) for _ in range(_read_scalar(file, "<Q"))]
    return _read_scalar(file, _SCALARS[kind])


def _read_scalar(file: BinaryIO, layout: str) -> Any:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))[0]


def _read_string(file: BinaryIO) -> str:
    return file.read(_read_scalar(file, "<Q")).decode("utf-8")
