"""`manage.py up`: runs everything under one supervisor; with `--until-verdict`, headless until the first verdict."""

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
from promotion.evaluation.reserve import is_measuring
from training.coordinator import start_training, stop_training
from training.heartbeats import read_last_beat

STAFF = "admin"
# A worker finishes its current run before it exits.
WORKER_ENDS_WITHIN_S = 60.0
WORKERS = "workers"
WATCH_EVERY_S = 30.0
ANSWERS_WITHIN_S = 60.0
# Time for thirty held-out tasks without and with memory. The limit matters when the model server is gone.
MEASURE_WITHIN_S = 900.0


class Watchdog:
    """Restarts workers that are alive but do nothing while bells wait."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._looked_at = time.monotonic()

    def look(self) -> bool:
        """Checks every half minute. Always False: a watchdog never ends the supervisor."""
        if time.monotonic() - self._looked_at < WATCH_EVERY_S:
            return False
        self._looked_at = time.monotonic()
        try:
            ensure_schedule()
            if has_wedged(last_beat_at=read_last_beat(now=timezone.now())):
                self._supervisor.restart(WORKERS, because="bells wait and nothing is done")
        except DatabaseError:
            # Postgres does not answer: the workers are waiting for it too.
            connection.close()
        return False


class Command(BaseCommand):
    # Measuring memory waits for free slots until this moment (time.monotonic).
    waits_until = math.inf
    help = (
        "Starts LeaLife: the workers, the dashboard and the demo site, and an embedded PostgreSQL and Ollama unless "
        "DATABASE_URL and OLLAMA_HOST name servers."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "8000")), help="Dashboard's port.")
        parser.add_argument("--bind", default="127.0.0.1", help="Dashboard's address.")
        parser.add_argument(
            "--no-demo",
            action="store_true",
            help="Do not serve the demo site, and do not start training on the first run.",
        )
        parser.add_argument(
            "--until-verdict",
            action="store_true",
            help="Headless: train until the first verdict, then print its story.",
        )
        parser.add_argument("--verdicts", type=int, default=1, help="Headless: number of verdicts to wait for.")
        parser.add_argument(
            "--json", type=Path, metavar="FILE", help="Also write the story to FILE as one JSON object."
        )
        parser.add_argument(
            "--minutes", type=float, default=40.0, help="Headless: longest wait for a verdict, in minutes."
        )

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
        """Locks the data folder: two supervisors on one folder would fight over ports and leases."""
        lock = (data_dir() / "up.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CommandError(f"LeaLife is already running on the data in {data_dir()}.") from None
        return lock

    def ensure_staff(self) -> str | None:
        """Makes a staff user on the first run and returns the generated password; None on later runs."""
        users = get_user_model()
        if users.objects.filter(is_staff=True).exists():
            return None
        password = secrets.token_urlsafe(12)
        users.objects.create_superuser(STAFF, password=password)
        return password

    def start_servers(self, supervisor: Supervisor, *, demo: bool, train: bool) -> None:
        """Starts the model server, the demo site and the workers."""
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
                    f"Another program uses port {port_of(host)} of the demo site. The port cannot change, because "
                    "memory refers to pages by this address. Free the port, or start with --no-demo."
                )
            supervisor.start(demo_child(host))
            if train or is_new:
                start_training(by=system("first run"), origin="up")
        connection.close()
        supervisor.start(
            Child(
                WORKERS,
                [sys.executable, "-m", "lealife", "worker"],
                folder=str(BASE_DIR),
                stop_within_s=WORKER_ENDS_WITHIN_S,
            )
        )

    def start_dashboard(self, supervisor: Supervisor, *, bind: str, port: int) -> None:
        """Starts Daphne, which serves the pages, the API and the live socket."""
        command = [sys.executable, "-m", "daphne", "-b", bind, "-p", str(port), "lealife.asgi:application"]
        supervisor.start(Child("dashboard", command, folder=str(BASE_DIR)))
        ends = time.monotonic() + ANSWERS_WITHIN_S
        while is_port_free(port) and not supervisor.is_stopping and time.monotonic() < ends:
            time.sleep(0.1)

    def greet(self, bind: str, port: int, *, password: str | None, seconds: float) -> None:
        """Prints the address, and the password on the first run."""
        address = f"http://{bind}:{port}{settings.FORCE_SCRIPT_NAME or ''}/training/"
        self.console.print(f"\n[bold]LeaLife[/] started after {seconds:.0f} s: [link]{address}[/]")
        if password:
            self.console.print(f"Sign in as [bold]{STAFF}[/] with [bold]{password}[/]  (shown only now)")
        self.console.print("Ctrl-C stops everything.\n")

    def tell(self, supervisor: Supervisor, *, started: Any, began: float, options: dict[str, Any]) -> None:
        """Trains until the verdict has been carried out, measures memory and the live apply, and prints the story."""
        deadline = began + options["minutes"] * 60
        with StoryProgress(self.console) as progress:

            def is_over() -> bool:
                progress.training()
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

            def is_measured() -> bool:
                progress.waiting()
                return time.monotonic() > deadline or not is_measuring()

            # What is not measured by the deadline, the story tells as it stands.
            if not supervisor.run(until=is_measured, poll_s=1.0):
                raise CommandError("Stopped before the story was complete.")
        story = tell_story(evaluation, memory=memory, seconds=time.monotonic() - began)
        print_story(story)
        if options["json"]:
            options["json"].write_text(json.dumps(asdict(story), indent=2, ensure_ascii=False) + "\n")

    def breathe(self, supervisor: Supervisor) -> None:
        """Waits for a slot while looking after the children."""
        if supervisor.is_stopping:
            raise CommandError("Stopped before the story was complete.")
        if time.monotonic() > self.waits_until:
            raise CommandError("Memory could not be measured: no slot became free, or no model server answers.")
        supervisor.revive()
        time.sleep(0.2)
