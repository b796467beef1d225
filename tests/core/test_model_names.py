"""One model has many names."""

from __future__ import annotations

import pytest

from lealife.core.model_names import normalise_name


@pytest.mark.parametrize(
    "text",
    [
        "smollm2",
        "SmolLM2:Latest",
        "library/smollm2",
        "Library/SmolLM2:latest",
        "registry.ollama.ai/library/smollm2",
        "https://registry.ollama.ai/library/smollm2:latest",
    ],
)
def test_all_names_of_a_model_are_one(text: str) -> None:
    assert normalise_name(text) == "smollm2:latest"


def test_a_colon_before_the_last_slash_is_a_port() -> None:
    assert normalise_name("localhost:5000/ada/Name") == "localhost:5000/ada/name:latest"
    assert normalise_name("hf.co/ada/name:Q4_K_M") == "hf.co/ada/name:q4_k_m"


def test_another_namespace_or_tag_is_another_model() -> None:
    names = ("smollm2", "ada/smollm2", "smollm2:135m")
    assert len(set(map(normalise_name, names))) == len(names)
