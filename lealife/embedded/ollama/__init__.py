"""A real Ollama for a machine that has none: real weights, real inference, Ollama's own HTTP API.

It runs as a process of its own (`python -m lealife.embedded.ollama`). The application never imports it:
to the application it is an Ollama like any other.

    server          HTTP: reads requests, finds what answers them
    exchange        one request and its answer, at once or as a stream
    addresses       redirects, allowed methods, hosts and origins
    wire            requests as Go reads them; Ollama's errors, times and durations
    api             the addresses about tags: list, show, create, copy, delete, pull, push
    inference_api   the addresses that need the model: chat, generate, embed
    registry        tags, manifests, digests and files, on disk
    weights         the gguf file, its digest and what its header says
    options         options and formats of a request, in llama.cpp's terms
    prompts         from messages to the tokens of a prompt
    go_template     Go's template language, as far as model templates use it
    occupancy       requests that generate or wait, and tags that stay loaded
    engine          llama.cpp: load, render, count, complete, embed
"""
