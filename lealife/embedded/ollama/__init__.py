"""A real Ollama for a machine that has none: real weights, real inference, Ollama's own HTTP API.

It runs as a process of its own (`python -m lealife.embedded.ollama`). The application never imports it:
to the application it is an Ollama like any other.

    wire       answers, durations and errors as Ollama words them
    addresses  redirects, allowed methods, hosts and origins
    bodies     requests, read as Go reads them
    names      model names and their one normal form
    sampling   options: Ollama's defaults, types and bounds
    weights    the gguf file, its digest and what its header says
    schema     JSON schemas as grammars
    registry   tags, manifests and digests, on disk
    blobs      files that were sent, by their digest
    go_template     Go's template language, as far as model templates use it
    prompts    from messages to the tokens of a prompt
    engine     llama.cpp: load, render, count, complete, embed
    admission  who may generate now, who waits, who is turned away
    residency  which tags are loaded and until when
    api        what each address about tags means
    inference_api   chat, generate, embed
    server     HTTP: reading requests, writing answers and streams
"""
