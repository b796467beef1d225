"""`manage.py up`: everything under one supervisor; with `--until-verdict`, headless until the gate has spoken."""

from __future__ import annotations

import fcntl
import json
import math
import os
import secrets
import sys
import time
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.utils import timezone
from rich.console import Console

from lealife.core.actors import system
from lealife.core.errors import Refused
from lealife.core.places import BASE_DIR, data_dir
from lealife.demo import demo_child, ensure_demo_host, is_port_free, port_of
from lealife.embedded.ollama_process import command_line, ollama_dir, wait_for_address
from lealife.embedded.postgres import PostgresChild, is_joined, postgres_dir
from lealife.pipeline.bell import ensure_schedule, has_wedged
from lealife.progress import StoryProgress, print_story
from lealife.story import count_settled, find_verdict, measure_memory, tell_story
from lealife.supervisor import Child, Supervisor
from training.coordinator import start_training, stop_training
from training.heartbeats import read_last_beat

STAFF = "admin"
# A worker finishes the run in its hands before it goes.
WORKER_ENDS_WITHIN_S = 60.0
WORKERS = "workers"
WATCH_EVERY_S = 30.0
ANSWERS_WITHIN_S = 60.0
# Memory off and on over thirty held-out tasks; a model server that is gone must not be waited for without end.
MEASURE_WITHIN_S = 900.0


class Watchdog:
    """Restarts workers that live but do nothing while bells wait."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._looked_at = time.monotonic()

    def look(self) -> bool:
        """Looks every half minute; never asks for an end."""
        if time.monotonic() - self._looked_at < WATCH_EVERY_S:
            return False
        self._looked_at = time.monotonic()
        try:
            ensure_schedule()
            if has_wedged(last_beat_at=read_last_beat(now=timezone.now())):
                self._supervisor.restart(WORKERS, because="bells wait and nothing is done")
        except DatabaseError:
            # Postgres is away: the workers wait for it too.
            connection.close()
        return False


class Command(BaseCommand):
    # Until when the measure of memory waits for its slots.
    waits_until = math.inf
    help = "Starts LeaLife: embedded servers where none are named, the workers, the dashboard and the demo site."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "8000")), help="Dashboard's port.")
        parser.add_argument("--bind", default="127.0.0.1", help="Dashboard's address.")
        parser.add_argument("--no-demo", action="store_true", help="Leave the demo site out; start nothing by itself.")
        parser.add_argument(
            "--until-verdict", action="store_true", help="Headless: train until the first verdict, then tell its story."
        )
        parser.add_argument("--verdicts", type=int, default=1, help="Headless: so many verdicts before the story.")
        parser.add_argument("--json", type=Path, metavar="FILE", help="Write the story as one JSON object too.")
        parser.add_argument("--minutes", type=float, default=25.0, help="Longest wait for a verdict.")

    def handle(self, *args: Any, **options: Any) -> None:
        self.console = Console(stderr=options["until_verdict"])
        lock = self.take_lock()
        headless = options["until_verdict"]
        if not headless and not is_port_free(options["port"]):
            raise CommandError(f"Port {options['port']} is taken. Choose another with --port.")
        started = timezone.now()
        began = time.monotonic()
        call_command("migrate", verbosity=0, interactive=False)
        supervisor = Supervisor(say=lambda sentence: self.console.print(f"[yellow]![/] {sentence}"))
        supervisor.catch_signals()
        if is_joined(postgres_dir()):
            supervisor.watch(PostgresChild("embedded PostgreSQL", ()))
        try:
            self.start_servers(supervisor, demo=not options["no_demo"], train=headless)
            if not headless:
                # Late, so that a start that fails does not use up the password, which is shown only once.
                password = self.ensure_staff()
                self.start_dashboard(supervisor, bind=options["bind"], port=options["port"])
                self.greet(options["bind"], options["port"], password=password, seconds=time.monotonic() - began)
                supervisor.run(until=Watchdog(supervisor).look)
            else:
                self.tell(supervisor, started=started, began=began, options=options)
        finally:
            self.console.print("Stopping …")
            supervisor.stop()
            lock.close()

    def take_lock(self) -> Any:
        """One supervisor a data folder: two would fight over ports and leases."""
        lock = (data_dir() / "up.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CommandError(f"LeaLife is already running on the data in {data_dir()}.") from None
        return lock

    def ensure_staff(self) -> str | None:
        """A staff user with a generated password on the first run; the password is returned once."""
        users = get_user_model()
        if users.objects.filter(is_staff=True).exists():
            return None
        password = secrets.token_urlsafe(12)
        users.objects.create_superuser(STAFF, password=password)
        return password

    def start_servers(self, supervisor: Supervisor, *, demo: bool, train: bool) -> None:
        """The model server, the demo site and the workers."""
        if not settings.OLLAMA_HOST:
            (ollama_dir() / "address").unlink(missing_ok=True)
            ollama = Child("embedded Ollama", command_line(), folder=str(BASE_DIR))
            supervisor.start(ollama)
            try:
                wait_for_address(has_ended=ollama.has_ended)
            except RuntimeError as error:
                raise CommandError(str(error)) from error
        if demo:
            host, is_new = ensure_demo_host()
            if not is_port_free(port_of(host)):
                raise CommandError(
                    f"Port {port_of(host)} of the demo site is taken by another program. What was learned names "
                    "pages by that address: free the port, or start with --no-demo."
                )
            supervisor.start(demo_child(host))
            if train or is_new:
                start_training(by=system("first run"), origin="up")
        connection.close()
        supervisor.start(
            Child(WORKERS, self.manage("worker"), folder=str(BASE_DIR), stop_within_s=WORKER_ENDS_WITHIN_S)
        )

    def start_dashboard(self, supervisor: Supervisor, *, bind: str, port: int) -> None:
        """Daphne, with the pages, the API and the live socket."""
        command = [sys.executable, "-m", "daphne", "-b", bind, "-p", str(port), "lealife.asgi:application"]
        supervisor.start(Child("dashboard", command, folder=str(BASE_DIR)))
        ends = time.monotonic() + ANSWERS_WITHIN_S
        while is_port_free(port) and not supervisor.is_stopping and time.monotonic() < ends:
            time.sleep(0.1)

    def manage(self, *arguments: str) -> list[str]:
        """The command line of another command of ours."""
        return [sys.executable, "-m", "lealife", *arguments]

    def greet(self, bind: str, port: int, *, password: str | None, seconds: float) -> None:
        """Where to look."""
        address = f"http://{bind}:{port}{settings.FORCE_SCRIPT_NAME or ''}/training/"
        self.console.print(f"\n[bold]LeaLife[/] is up after {seconds:.0f} s: [link]{address}[/]")
        if password:
            self.console.print(f"Sign in as [bold]{STAFF}[/] with [bold]{password}[/]  (shown only now)")
        self.console.print("Ctrl-C stops everything.\n")

    def tell(self, supervisor: Supervisor, *, started: Any, began: float, options: dict[str, Any]) -> None:
        """Trains until the verdict and what follows from it, measures memory, tells the story."""
        deadline = began + options["minutes"] * 60
        with StoryProgress(self.console) as progress:

            def is_over() -> bool:
                progress.update()
                return time.monotonic() > deadline or count_settled(since=started) >= options["verdicts"]

            if not supervisor.run(until=is_over, poll_s=1.0):
                raise CommandError("Stopped before a verdict.")
            evaluation = find_verdict(since=started)
            if evaluation is None:
                raise CommandError(f"No verdict within {options['minutes']:g} minutes.")
            stop_training(by=system("until-verdict"), origin="up")
            self.waits_until = time.monotonic() + MEASURE_WITHIN_S
            try:
                memory = measure_memory(evaluation, progress=progress.measuring, wait=lambda: self.breathe(supervisor))
            except Refused as error:
                raise CommandError(str(error)) from error
        story = tell_story(evaluation, memory=memory, seconds=time.monotonic() - began)
        print_story(story)
        if options["json"]:
            options["json"].write_text(json.dumps(asdict(story), indent=2, ensure_ascii=False) + "\n")

    def breathe(self, supervisor: Supervisor) -> None:
        """Waits for a slot while looking after the children."""
        if supervisor.is_stopping:
            raise CommandError("Stopped before the story was told.")
        if time.monotonic() > self.waits_until:
            raise CommandError("Memory could not be measured: no slot came free, or no model server answers.")
        supervisor.revive()
        time.sleep(0.2)
