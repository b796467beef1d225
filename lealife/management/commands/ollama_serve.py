"""`manage.py ollama_serve`: the embedded Ollama alone."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from lealife.embedded.ollama_process import command_line


class Command(BaseCommand):
    help = "Runs the embedded Ollama server in the foreground."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=11434, help="Port on loopback; 0 chooses a free one.")

    def handle(self, *args: Any, **options: Any) -> None:
        line = command_line(port=options["port"])
        os.execv(line[0], line)  # noqa: S606  this process becomes the server, so that signals reach it
