"""The stub model: the part of Ollama's API that the product calls, quick and always the same."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from typing import Any

from benchmarks.chaos import site
from benchmarks.chaos.effects import EffectLog
from benchmarks.chaos.server import Asked, StubReply, StubServer

NAME = "model"
# What tags are made from: there, as a real server has it once it was pulled.
BASE = "smollm2:135m"
CHAT = "/api/chat"
_WHEN = "2030-01-01T00:00:00Z"


class Ollama:
    """Tags by name, as real as their digests: the same recipe has the same digest."""

    def __init__(self, *, takes_s: float = 0.0) -> None:
        self._digests: dict[str, str] = {BASE: _digest({})}
        self._lock = threading.Lock()
        self._takes_s = takes_s

    def respond(self, asked: Asked) -> StubReply:
        """Ollama's answer, its own error bodies included."""
        said = json.loads(asked.body) if asked.body else {}
        with self._lock:
            if asked.path == "/api/version":
                return _say({"version": "0.0.0"})
            if asked.path == "/api/tags":
                return _say({"models": [_describe(name, digest) for name, digest in self._digests.items()]})
            if asked.path == "/api/create":
                recipe = {name: value for name, value in said.items() if name not in ("model", "stream")}
                self._digests[said["model"]] = _digest(recipe)
                return _say({"status": "success"})
            if asked.path == "/api/copy" and said["source"] in self._digests:
                self._digests[said["destination"]] = self._digests[said["source"]]
                return _say({})
            if asked.path == "/api/delete" and self._digests.pop(said["model"], None):
                return _say({})
            digest = self._digests.get(str(said.get("model")))
        if asked.path != CHAT or digest is None:
            return _say({"error": f"model {said.get('model')!r} not found"}, status=404)
        time.sleep(self._takes_s)
        return _say(_chat(said, digest))


def open_model(*, log: EffectLog, takes_s: float = 0.0) -> StubServer:
    """The model's server, not serving yet; each chat takes `takes_s` seconds."""
    return StubServer(name=NAME, log=log, respond=Ollama(takes_s=takes_s).respond, mark=read_mark)


def read_mark(asked: Asked) -> str:
    """Whose question a chat is about; empty for other requests."""
    return site.read_mark(json.loads(asked.body)["messages"][-1]["content"]) if asked.path == CHAT else ""


def _chat(said: dict[str, Any], digest: str) -> dict[str, Any]:
    question = said["messages"][-1]["content"]
    picks = (said.get("format") or {}).get("properties", {}).get("pick", {}).get("enum")
    # The shortlist stands best first. In an answer the first passage is as good as any.
    text = json.dumps({"pick": picks[0]}) if picks else question.partition("- ")[2].partition(" (")[0]
    return {
        "model": said["model"],
        "created_at": _WHEN,
        "message": {"role": "assistant", "content": text},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": len(question.split()),
        "eval_count": max(1, len(text.split())),
        "digest": digest,
    }


def _describe(name: str, digest: str) -> dict[str, Any]:
    return {"model": name, "name": name, "digest": digest, "size": 1, "modified_at": _WHEN}


def _digest(recipe: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def _say(content: dict[str, Any], *, status: int = 200) -> StubReply:
    return StubReply(json.dumps(content).encode(), status=status, media_type="application/json")
