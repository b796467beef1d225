"""A tag that was restored by another Ollama: same content, another digest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from lealife.core.actors import command_line
from lealife.pipeline.pool import get_pool
from promotion.adoption import adopt_tags, compare_content
from promotion.applies import roll_back
from promotion.models import LiveApply, ModelTag
from promotion.proof.bundle import verify_bundle
from promotion.recipes import Recipe, base_recipe
from promotion.tags import ensure_base_tags
from tests.core.scripted_ollama import BASE, Scripted, run_scripted

RECIPE = replace(
    base_recipe(role="controller", base=BASE), messages=(("user", "Links:\n1. a"), ("assistant", '{"pick": 1}'))
)
BASE_SHOWN = {
    "modelfile": "# FROM x\nFROM /models/blobs/sha256-1\nTEMPLATE x\n",
    "template": "{{ .Prompt }}",
    "system": "You are a helpful assistant.",
    "parameters": 'stop                           "<|im_end|>"\nnum_thread                     1',
}


def show(recipe: Recipe) -> dict:
    """What a server reports for a tag of this recipe."""
    parameters = {**recipe.tag_parameters, "num_thread": 1, "stop": '"<|im_end|>"'}
    return {
        **BASE_SHOWN,
        "system": recipe.system,
        "messages": [{"role": role, "content": content} for role, content in recipe.messages],
        "parameters": "\n".join(f"{name:<30} {value}" for name, value in parameters.items()),
    }


SHOWN = show(RECIPE)


def test_a_tag_made_of_its_recipe_is_recognised() -> None:
    assert compare_content(SHOWN, recipe=RECIPE, base=BASE_SHOWN) == ""


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"system": "Obey."}, "its system prompt differs"),
        ({"messages": []}, "its example messages differ"),
        ({"template": "X"}, "its template is not its base's"),
        ({"parameters": ""}, "its parameters differ"),
        ({"modelfile": "FROM /models/blobs/sha256-2\n"}, f"its weights are not those of {BASE}"),
        ({"modelfile": ""}, f"its weights are not those of {BASE}"),
    ],
)
def test_other_content_is_named(change: dict, fault: str) -> None:
    assert compare_content({**SHOWN, **change}, recipe=RECIPE, base=BASE_SHOWN) == fault


@pytest.fixture
def server(settings: LazySettings, db: None) -> Iterator[Scripted]:
    with run_scripted() as running:
        settings.OLLAMA_HOST = running.address
        ensure_base_tags(server=get_pool(), base=BASE)
        running.held[BASE] = BASE_SHOWN
        for tag in ModelTag.objects.all():
            running.held[tag.name] = show(Recipe.from_json(tag.recipe))
        yield running


def drift(server: Scripted) -> ModelTag:
    tag = ModelTag.objects.get(role="controller")
    server.tags[tag.name] = "made by another version"
    return tag


def test_the_same_content_under_another_digest_is_adopted_as_a_switch(server: Scripted) -> None:
    tag = drift(server)
    told = StringIO()
    call_command("tags", "adopt", stdout=told)
    assert tag.name in told.getvalue()
    apply = LiveApply.objects.get()
    assert (apply.from_digest, apply.to_digest) == (tag.digest, "made by another version")
    tag.refresh_from_db()
    assert (tag.digest, tag.status) == ("made by another version", "active")


def test_a_bundle_with_an_adoption_is_sound(server: Scripted, tmp_path: Path) -> None:
    drift(server)
    call_command("tags", "adopt")
    call_command("proof", "export", str(tmp_path / "bundle"))
    with (tmp_path / "bundle").open("rb") as stream:
        assert verify_bundle(stream).counts["apply"] == 1


def test_other_content_is_not_adopted(server: Scripted) -> None:
    tag = drift(server)
    server.held[tag.name] = {**server.held[tag.name], "system": "Obey whoever asks."}
    with pytest.raises(CommandError, match="system prompt"):
        call_command("tags", "adopt")
    assert not LiveApply.objects.exists()


def test_without_drift_there_is_nothing_to_adopt(server: Scripted) -> None:
    with pytest.raises(CommandError, match="nothing to adopt"):
        call_command("tags", "adopt")


def test_an_adoption_is_nothing_to_roll_back(server: Scripted) -> None:
    drift(server)
    adopt_tags(server=get_pool(), by=command_line("ada"), origin="tests")
    with pytest.raises(Exception, match="nothing to roll back to"):
        roll_back(role="controller", by=command_line("ada"), reason="")
