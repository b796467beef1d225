"""Materialisation on every server of a pool, and one of them out of step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import ollama
import pytest

from lealife.core.gateway import ModelInvalid, OllamaPool
from promotion.inspection import DRIFTED, MISSING, inspect_tags
from promotion.recipes import base_recipe
from promotion.tags import register_tag
from tests.embedded.ollama_process import BASE, run_ollama


@pytest.fixture
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    with run_ollama(tmp_path_factory.mktemp("one")) as one, run_ollama(tmp_path_factory.mktemp("two")) as two:
        yield one.address, two.address


def test_a_recipe_has_one_digest_on_all_servers_and_a_differing_server_is_named(db, addresses):
    pool = OllamaPool(hosts=addresses)
    recipe = replace(base_recipe(role="controller", base=BASE), messages=(("user", "x"), ("assistant", "y")))
    digest = recipe.materialise(pool)
    assert pool.read_digest(tag=recipe.tag_name) == dict.fromkeys(addresses, digest)
    register_tag(recipe=recipe, digest=digest, status="active", parent=None)
    assert inspect_tags(server=pool).alarms == ()

    with ollama.Client(host=addresses[1], trust_env=False) as second:
        # The tag was changed outside LeaLife: other content under the same name.
        second.create(model=recipe.tag_name, from_=BASE, system="Something else.", stream=False)
        [alarm] = inspect_tags(server=pool).serving_alarms
        assert (alarm.state, alarm.server) == (DRIFTED, addresses[1])
        assert addresses[1] in alarm.sentence
        with pytest.raises(ModelInvalid, match=recipe.tag_name):
            pool.served_digest(tag=recipe.tag_name)
        # Deleted outside.
        second.delete(recipe.tag_name)
    [alarm] = inspect_tags(server=pool).serving_alarms
    assert (alarm.state, alarm.server) == (MISSING, addresses[1])
    assert recipe.materialise(pool) == digest
    assert inspect_tags(server=pool).alarms == ()
