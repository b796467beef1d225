"""WordPiece, lower case: from text to the tokens of a BERT model, as the model was trained on them.

llama.cpp's own tokenizer leaves out vowels of Korean and Hindi, so that their vectors differ from the model's.
"""

from __future__ import annotations

import unicodedata

# A longer word is unknown as a whole.
WORD_MAX = 100
# Ranges of Chinese characters: each is a word.
_CHINESE = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip
_SPACES = "\t\n\r"
_ASCII_SIGNS = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


class WordPiece:
    """The vocabulary of one model, in llama.cpp's spelling: `▁` marks the first piece of a word."""

    def __init__(self, tokens: list[str]) -> None:
        self._ids = {token: at for at, token in enumerate(tokens)}
        self._begin, self._end, self._unknown = (self._ids[token] for token in ("[CLS]", "[SEP]", "[UNK]"))

    def tokenize(self, text: str) -> list[int]:
        """The ids of a text's tokens, between those for its beginning and its end."""
        pieces = [piece for word in split_words(text) for piece in self._split(word)]
        return [self._begin, *pieces, self._end]

    def cut(self, tokens: list[int], *, size: int) -> list[int]:
        """The first `size` tokens of a text; the last one says that it ends."""
        return tokens if len(tokens) <= size else [*tokens[: size - 1], self._end]

    def _split(self, word: str) -> list[int]:
        """The longest pieces from the left; one unknown token when the word cannot be made of pieces."""
        if len(word) > WORD_MAX:
            return [self._unknown]
        pieces: list[int] = []
        rest = f"\u2581{word}"
        while rest:
            size = next((size for size in range(len(rest), 0, -1) if rest[:size] in self._ids), 0)
            if not size:
                return [self._unknown]
            pieces.append(self._ids[rest[:size]])
            rest = rest[size:]
        return pieces


def split_words(text: str) -> list[str]:
    """Words in lower case without accents. Each sign and each Chinese character is a word."""
    spaced = "".join(_space(character) for character in text)
    plain = unicodedata.normalize("NFD", spaced.lower())
    return "".join(_part(character) for character in plain).split()


def _space(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Zs" or character in _SPACES:
        return " "
    if category[0] == "C" or character == "\ufffd":
        return ""
    return f" {character} " if _is_chinese(character) else character


def _part(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Mn":
        return ""
    return f" {character} " if category[0] == "P" or character in _ASCII_SIGNS else character


def _is_chinese(character: str) -> bool:
    code = ord(character)
    return any(first <= code <= last for first, last in _CHINESE)
