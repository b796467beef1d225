"""Files that clients sent. A create may name them, but this server cannot use them."""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path
from typing import NoReturn

from .gguf import MAGIC
from .wire import ApiError

_DIGEST = re.compile(r"sha256[:-]([0-9a-fA-F]{64})")


class Blobs:
    """Files that clients sent, under one folder. A create may name them, but this server cannot use them."""

    def __init__(self, *, folder: Path) -> None:
        self.folder = folder

    def has(self, digest: str) -> bool:
        """Whether a file of that digest is here. Raises ApiError 400 for what is not a digest."""
        return self._path(digest).exists()

    def save(self, digest: str, content: bytes) -> None:
        """Keeps a file. Raises ApiError 400 when it has another digest."""
        path, found = self._path(digest), hashlib.sha256(content).hexdigest()
        if not path.name.endswith(found):
            raise ApiError(400, f'digest mismatch, expected "{digest}", got "sha256:{found}"')
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".part", delete=False) as aside:
            aside.write(content)
        Path(aside.name).replace(path)

    def refuse(self, files: dict[str, str], *, what: str, missing: int) -> NoReturn:
        """Raises ApiError: Ollama's own for a file that is missing (status `missing`) or not gguf, else that it takes
        no `what`.
        """
        for digest in files.values():
            path = self._path(digest)
            if not path.exists():
                raise ApiError(missing, f"open {path}: no such file or directory")
            with path.open("rb") as file:
                if file.read(len(MAGIC)) != MAGIC:
                    raise ApiError(400, "supplied file was not in GGUF format")
        raise ApiError(400, f"{what} are not supported by this server: it carries its models as they are")

    def _path(self, digest: str) -> Path:
        found = _DIGEST.fullmatch(digest)
        if found is None:
            raise ApiError(400, "invalid digest format")
        return self.folder / f"sha256-{found[1].lower()}"
