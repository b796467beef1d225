"""The embedded Ollama repeats itself: same prompt, same log probabilities, whatever else it computes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.embedded.ollama_process import BASE, run_ollama

WORDS = "a ship sea page link module file read write open close archive class value error test server request".split()


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server that generates two answers at once, in one batch."""
    data = tmp_path_factory.mktemp("repeats")
    with (
        run_ollama(data, "--parallel", "2") as server,
        httpx.Client(base_url=server.address, timeout=120, trust_env=False) as session,
    ):
        yield session


def make_prompts(*, systems: Sequence[int], questions: Sequence[int]) -> list[list[dict[str, str]]]:
    """Tags' beginnings of so many words, each with questions of so many."""
    draw = random.Random(5)

    def say(count: int) -> str:
        return " ".join(draw.choice(WORDS) for _ in range(count))

    return [
        [{"role": "system", "content": system}, {"role": "user", "content": say(length)}]
        for system in map(say, systems)
        for length in questions
    ]


def ask(http: httpx.Client, messages: list[dict[str, str]]) -> list[tuple[str, float]]:
    """Each token of the answer with its log probability, as exact as it is."""
    options = {"temperature": 0, "seed": 0, "num_predict": 8}
    body = {"model": BASE, "messages": messages, "stream": False, "logprobs": True, "options": options}
    response = http.post("/api/chat", json=body)
    assert response.status_code == 200, response.text
    return [(chance["token"], chance["logprob"]) for chance in response.json()["logprobs"]]


# 450 words fill more than a batch.
@pytest.mark.parametrize(
    ("systems", "questions"),
    [((40, 450), (3, 90)), pytest.param((40, 150, 450), (3, 40, 90), marks=pytest.mark.soak)],
)
def test_log_probabilities_are_the_same_cold_warm_and_in_one_batch(
    http: httpx.Client, systems: Sequence[int], questions: Sequence[int]
) -> None:
    prompts = make_prompts(systems=systems, questions=questions)
    cold = [ask(http, messages) for messages in prompts]
    order = list(range(len(prompts))) * 2
    random.Random(1).shuffle(order)
    with ThreadPoolExecutor(2) as workers:
        batched = list(workers.map(lambda at: ask(http, prompts[at]), order))
    assert batched == [cold[at] for at in order]
    # The whole prompt is in the cache but for its last token.
    assert [ask(http, prompts[0]) for _ in range(2)] == [cold[0]] * 2
