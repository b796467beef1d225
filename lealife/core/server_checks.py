"""Checks of a model server: whether it answers and can serve, and what to do when it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from lealife.core.model_names import normalise_name
from lealife.core.ollama_server import PROBE_S, ModelError, ModelUnavailable, OllamaServer, OnlyThinks, TagInfo

# A chat takes longer than a listing: the model may have to be loaded, and other chats may be ahead.
CHAT_S = 20.0
HELLO, FEW_WORDS = ({"role": "user", "content": "Hello"},), {"num_predict": 8}


@dataclass(frozen=True, slots=True)
class ServerCheck:
    """One server: whether it answers, whether it can serve, and otherwise a sentence with the reason and the remedy.

    `differs`: the server has other content under the name of a serving tag. Then answers of no server count.
    `embeds`: it has the model that turns texts into vectors.
    """

    host: str
    answers: bool
    serves: bool
    sentence: str = ""
    differs: bool = False
    embeds: bool = False


def check_server(
    server: OllamaServer, *, base: str, embedder: str, serving: Mapping[str, str] | None, chat: bool
) -> ServerCheck:
    """Checks the server now.

    `base`: the model that tags are made from, "" for any. `embedder`: the one for vectors, "" for none.
    `serving`: digests by name of the tags that serve. `chat`: also asks each tag for a few words, to find a model that
    is listed but fails when it answers.
    """
    try:
        listed = server.list_tags(deadline_s=PROBE_S)
    except ModelUnavailable as error:
        return ServerCheck(server.host, False, False, f"{error} Start it or restart it.")
    check = _check_serving(server, listed, base=base, serving=serving, chat=chat)
    return replace(check, embeds=bool(embedder) and normalise_name(embedder) in listed)


def _check_serving(
    server: OllamaServer, listed: Mapping[str, TagInfo], *, base: str, serving: Mapping[str, str] | None, chat: bool
) -> ServerCheck:
    found = {tag: listed.get(normalise_name(tag)) for tag in serving or {}}
    if base and normalise_name(base) not in listed and (not found or None in found.values()):
        return _refuse(server, f"{server.host} has no model {base}. Run on that machine: ollama pull {base}")
    for tag, digest in (serving or {}).items():
        info = found[tag]
        if info is None:
            return _refuse(server, f"{tag} is missing on {server.host}. A worker makes it again within a minute.")
        if info.digest != digest:
            sentence = (
                f"The digest of {tag} on {server.host} is not the registered one, so no run counts. If the content "
                f"is the same, run: manage.py tags adopt. If not, run on that machine: ollama rm {tag}"
            )
            return replace(_refuse(server, sentence), differs=True)
        if chat:
            try:
                server.chat(tag=tag, messages=HELLO, schema=None, options=FEW_WORDS, keep_alive=None, deadline_s=CHAT_S)
            except OnlyThinks as error:
                return _refuse(server, str(error))
            except ModelError as error:
                return _refuse(server, f"{error} Restart it, or run on that machine: ollama pull {base}")
    return ServerCheck(server.host, True, True)


def _refuse(server: OllamaServer, sentence: str) -> ServerCheck:
    return ServerCheck(server.host, True, False, sentence)
