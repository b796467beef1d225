"""The embedded Ollama answers as a real Ollama 0.17.4 did: `ollama_replies.jsonl`, request by request, in order.

Compared: status, headers that matter, the shape of every document and streamed line (keys and types), and every
value that the request alone determines. Where the two differ there is a row in DEVIATIONS with the reason; a row that
no longer differs fails. Long lists in the recorded bodies are shortened; a body marked `cut` was recorded in part, and
so were four long requests, which are completed here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.embedded.ollama_process import BASE, run_ollama

REPLIES = [json.loads(line) for line in (Path(__file__).parent / "ollama_replies.jsonl").read_text().splitlines()]
HEADERS = (
    "content-type", "allow", "location", "vary", "access-control-allow-origin", "access-control-allow-methods",
    "access-control-allow-headers", "access-control-max-age",
)  # fmt: skip
# Values that the request determines, whatever computes the answer.
DETERMINED = {
    "error", "status", "model", "name", "role", "done", "prompt_eval_count", "license", "system", "template",
    "family", "quantization_level", "parameter_size",
}  # fmt: skip
# Two fields more than Ollama's, which the product uses where they are given.
EXTRA = {"digest", "prompt_cached_count"}

NO_REGISTRY = "It was recorded without a network; this server has no registry at all and says so at once."
NO_V1 = "OpenAI's addresses are not used by the official client."
# What differs, by case: where, and why.
DEVIATIONS: dict[str, tuple[str, str]] = {
    "create from unknown": ("value error", NO_REGISTRY),
    "create from unknown stream": ("value error", NO_REGISTRY),
    "pull unknown": ("value error", NO_REGISTRY),
    "pull unknown stream": ("value error", NO_REGISTRY),
    "pull own": ("status", "This server carries that model, so that pulling it works without a network."),
    "push": ("value error", NO_REGISTRY),
    "v1 models": ("status", NO_V1),
    "v1 chat": ("status", NO_V1),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[str]]]:
    """What differs, by case: everything is asked in order of one fresh server, with the recorded server's base."""
    shown = next(json.loads(reply["body"]) for reply in REPLIES if reply["case"] == "show")
    base = {
        "model": BASE, "from": BASE, "stream": False, "template": shown["template"], "system": shown["system"],
        "parameters": {"num_thread": 1, "stop": ["<|im_start|>", "<|im_end|>"]},
    }  # fmt: skip
    with (
        run_ollama(tmp_path_factory.mktemp("contract")) as server,
        httpx.Client(base_url=server.address, timeout=60, trust_env=False) as http,
    ):
        assert http.post("/api/create", json=base).status_code == 200
        assert http.post("/api/generate", json={"model": BASE}).status_code == 200
        found = {}
        for reply in REPLIES:
            found[reply["case"]] = list(compare(reply, ask(http, reply)))
            if reply["case"] == "pull own":
                # That replaced the base by the carried model, here alone.
                assert http.post("/api/create", json=base).status_code == 200
        yield found


@pytest.mark.parametrize("case", [reply["case"] for reply in REPLIES])
def test_a_request_is_answered_as_it_was_recorded(answers: dict[str, list[str]], case: str) -> None:
    part, reason = DEVIATIONS.get(case, ("", ""))
    differences = [line for line in answers[case] if not part or not line.startswith(part)]
    assert differences == []
    assert not reason or differences != answers[case], f"{case} does not deviate any more: take it from the list"


def ask(http: httpx.Client, reply: dict[str, Any]) -> httpx.Response:
    headers, content = dict(reply["request_headers"]), reply["request"].encode()
    if headers.pop("Transfer-Encoding", None):
        return http.request(reply["method"], reply["path"], content=iter([content[:5], content[5:]]), headers=headers)
    url = httpx.URL(str(http.base_url).rstrip("/") + reply["path"])
    return http.request(reply["method"], url, content=content, headers=headers)


def compare(reply: dict[str, Any], response: httpx.Response) -> Iterator[str]:
    """Each difference in one line that begins with where it is."""
    if response.status_code != reply["status"]:
        yield f"status: {response.status_code} instead of {reply['status']} ({response.text[:200]})"
        return
    for name in HEADERS:
        if response.headers.get(name) != reply["headers"].get(name):
            yield f"header {name}: {response.headers.get(name)!r} instead of {reply['headers'].get(name)!r}"
    ours, theirs = read_documents(response.text), read_documents(reply["body"])
    if isinstance(theirs, str) or isinstance(ours, str):
        if ours != theirs:
            yield f"text: {ours!r} instead of {theirs!r}"
        return
    partial = reply.get("cut", False)
    if (found := merge_shapes(ours)) != (wanted := merge_shapes(theirs)) and not (partial and covers(found, wanted)):
        yield f"shape: {json.dumps(found)} instead of {json.dumps(wanted)}"
    yield from compare_values(ours[-1], theirs[-1], at=reply["path"])
    yield from compare_values(ours[0], theirs[0], at=reply["path"])


def read_documents(text: str) -> list[Any] | str:
    """The JSON documents of a body, one or a line each; the text when it is something else."""
    text = re.sub(r"open \S+/blobs/", "open /models/blobs/", text)
    try:
        return [json.loads(line) for line in text.splitlines()] if text.startswith("{") else text
    except ValueError:
        return text


def merge_shapes(lines: list[Any]) -> Any:
    """The shapes of the lines in order, equal ones in a row once, because the number of tokens depends on the model."""
    shapes: list[Any] = []
    for line in lines:
        if (shape := read_shape(line)) not in shapes[-1:]:
            shapes.append(shape)
    return shapes


def read_shape(value: Any) -> Any:
    """Keys and types; a list is the shapes of its items, each once."""
    if isinstance(value, dict):
        return {key: read_shape(item) for key, item in sorted(value.items()) if key not in EXTRA or "size" in value}
    if isinstance(value, list):
        return sorted({json.dumps(read_shape(item)) for item in value})
    return {bool: "bool", int: "number", float: "number", str: "text"}.get(type(value), "null")


def covers(found: Any, wanted: Any) -> bool:
    """Whether everything that was recorded, of a body recorded in part, is there."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(key in found and covers(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list) and isinstance(found, list) and wanted and isinstance(wanted[0], dict):
        return len(found) == len(wanted) and all(map(covers, found, wanted))
    return found == wanted or (isinstance(wanted, list) and set(wanted) <= set(found))


def compare_values(ours: Any, theirs: Any, *, at: str) -> Iterator[str]:
    """Values that the request determines, wherever they stand."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in theirs.keys() & ours.keys():
            if key in DETERMINED and not isinstance(theirs[key], dict | list) and ours[key] != theirs[key]:
                yield f"value {key}: {ours[key]!r} instead of {theirs[key]!r}"
            if key in ("parameters", "capabilities", "messages") and sort_lines(ours[key]) != sort_lines(theirs[key]):
                yield f"value {key}: {ours[key]!r} instead of {theirs[key]!r}"
            yield from compare_values(ours[key], theirs[key], at=f"{at}.{key}")
        if theirs.get("done_reason") in ("load", "unload") and ours["done_reason"] != theirs["done_reason"]:
            yield f"value done_reason: {ours['done_reason']} instead of {theirs['done_reason']}"


def sort_lines(value: Any) -> Any:
    """Go writes a map in another order each time."""
    return sorted(value.splitlines()) if isinstance(value, str) else value
