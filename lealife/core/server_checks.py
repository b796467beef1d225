"""Checks of a model server: whether it answers and can serve, and what to do when it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lealife.core.model_names import normalise_name
from lealife.core.ollama_server import PROBE_S, ModelError, ModelUnavailable, OllamaServer, OnlyThinks

# To load a model and say one word takes longer than to list it, behind the chats of others too.
CHAT_S = 20.0
HELLO, FEW_WORDS = ({"role": "user", "content": "Hello"},), {"num_predict": 8}


@dataclass(frozen=True, slots=True)
class ServerCheck:
    """One server: whether it answers, whether it can serve, and a sentence that says why not and what to do.

    `differs`: it has something else under a serving tag's name, and what any server answers counts nowhere.
    """

    host: str
    answers: bool
    serves: bool
    sentence: str = ""
    differs: bool = False


def check_server(
    server: OllamaServer, *, base: str = "", serving: Mapping[str, str] | None = None, chat: bool = False
) -> ServerCheck:
    """How the server is now.

    `base`: the model that tags are made from, "" for any. `serving`: digests by name of the tags that serve.
    `chat`: asks each for a few words, which finds a model that is listed and fails as it answers.
    """
    try:
        listed = server.list_tags(deadline_s=PROBE_S)
    except ModelUnavailable as error:
        return ServerCheck(server.host, False, False, f"{error} Start it, or start it again.")
    found = {tag: listed.get(normalise_name(tag)) for tag in serving or {}}
    if base and normalise_name(base) not in listed and (not found or None in found.values()):
        return _refuse(server, f"{server.host} has no model {base}. Run there: ollama pull {base}")
    for tag, digest in (serving or {}).items():
        info = found[tag]
        if info is None:
            return _refuse(server, f"{server.host} has lost {tag}; a worker makes it again within a minute.")
        if info.digest != digest:
            return ServerCheck(
                server.host,
                True,
                False,
                f"{tag} has another digest on {server.host} than is registered, so that no run counts. "
                f"If its content is the same, run: manage.py tags adopt. If not, run there: ollama rm {tag}",
                differs=True,
            )
        if chat:
            try:
                server.chat(tag=tag, messages=HELLO, schema=None, options=FEW_WORDS, keep_alive=None, deadline_s=CHAT_S)
            except OnlyThinks as error:
                return _refuse(server, str(error))
            except ModelError as error:
                return _refuse(server, f"{error} Start it again, or run there: ollama pull {base}")
    return ServerCheck(server.host, True, True)


def _refuse(server: OllamaServer, sentence: str) -> ServerCheck:
    return ServerCheck(server.host, True, False, sentence)
