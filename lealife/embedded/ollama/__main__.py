"""`python -m lealife.embedded.ollama`: runs the server until it gets a signal or its starter ends."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path

from .blobs import Blobs
from .embedder import THREADS, Embedder
from .engine import Engine
from .inference_api import Runner
from .loading import LoadedWeights, keep_one_heap
from .manifest import Carried
from .minilm import carry_minilm
from .occupancy import Admission, Foreground
from .pulled import list_pulled
from .registry import Registry
from .server import OllamaServer
from .weights import NAMES, Weights, WeightsMissing, find_weights, read_weights
from .wire import now

log = logging.getLogger("lealife.embedded.ollama")

# How long a running request may take to stop.
GRACE_S = 1.5
# Requests to embed that take turns, a few texts each: a question need not wait for a long list of passages.
EMBED_PARALLEL = 4


def main() -> int:
    """Start, serve, stop; the exit code."""
    arguments = _read_arguments()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    keep_one_heap()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    if arguments.while_stdin:
        threading.Thread(target=_wait_for_end, args=(stopped,), name="stdin", daemon=True).start()
    host, port, data = arguments.host, arguments.port, arguments.data
    try:
        server = OllamaServer(host=host, port=port)
    except OSError as error:
        log.error("Cannot listen on %s port %d: %s. Is a server running there?", host, port, error.strerror)
        return 1
    try:
        chat = Carried(NAMES, read_weights(find_weights()))
        minilm = _carry_minilm(data / "blobs")
        pulled = list_pulled(data / "blobs")
        registry = Registry(folder=data / "manifests", carried=[chat, *minilm, *pulled], now=now())
    except (WeightsMissing, OSError) as error:
        log.error("%s", error)
        return 1

    admit = partial(Admission, max_queue=arguments.max_queue, foreground=Foreground())

    def make_runner(weights: Weights) -> Runner:
        engine = Engine(
            path=weights.path, num_ctx=arguments.num_ctx, slots=arguments.slots, own_template=weights.template
        )
        return Runner(engine, admit(arguments.parallel))

    runners = {model.weights.digest: make_runner(model.weights) for model in (chat, *pulled)}
    for model in minilm:
        embedder = Embedder(model.weights, threads=arguments.embed_threads)
        runners[model.weights.digest] = Runner(embedder, admit(EMBED_PARALLEL))
    with runners[chat.weights.digest].model.use():
        server.open(registry=registry, blobs=Blobs(folder=data / "blobs"), runners=runners, make_runner=make_runner)
    _write_address(data / "address", server.address)
    log.info("listening on %s with %d tags", server.address, len(registry.list()))
    stopped.wait()
    (data / "address").unlink(missing_ok=True)
    server.stop()
    return _leave([runner.model for runner in runners.values()])


def _wait_for_end(stopped: threading.Event) -> None:
    # The pipe ends when the process that started us ends, even when it is killed.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    stopped.set()


def _carry_minilm(folder: Path) -> list[Carried]:
    """The embedding model; none, with a log line, when it cannot be used. Chats do not need it."""
    try:
        model = carry_minilm(folder)
    except (WeightsMissing, OSError) as error:
        log.error("all-minilm is left out: %s", error)
        return []
    return [model] if model else []


def _leave(models: list[LoadedWeights]) -> int:
    deadline = time.monotonic() + GRACE_S
    while not all(model.unload() for model in models):
        if time.monotonic() > deadline:
            # llama.cpp cannot be stopped inside a batch. Everything on disk is already written.
            log.info("stopped in the middle of a request")
            os._exit(0)
        time.sleep(0.02)
    log.info("stopped")
    return 0


def _write_address(path: Path, address: str) -> None:
    """Writes to a second file, then renames it: a reader sees the whole address or none."""
    aside = path.with_suffix(".part")
    aside.write_text(address + "\n", encoding="ascii")
    aside.replace(path)


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="lealife.embedded.ollama", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=11434, help="0 takes a free one and writes it to DATA/address")
    parser.add_argument("--data", type=Path, required=True, help="folder for tags and the address file")
    parser.add_argument("--num-ctx", type=int, default=4096, help="most tokens of one request")
    parser.add_argument("--slots", type=int, default=2, help="prompts that are kept ready at the same time")
    # On a small machine two at once take about as long as one after the other.
    parser.add_argument("--parallel", type=int, default=1, help="requests that generate at once")
    parser.add_argument("--max-queue", type=int, default=64, help="requests that may wait; more get 503")
    parser.add_argument("--embed-threads", type=int, default=THREADS, help="threads that embed texts")
    parser.add_argument("--while-stdin", action="store_true", help="stop when standard input ends")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
