"""`python -m benchmarks NAME`: measures claims about the product, prints a table, and fails when one does not hold."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import django

from benchmarks.manuals import SITES
from benchmarks.measurement import DoesNotHold, Measurement, report
from lealife.embedded.postgres import ensure_database_url

# How often a load is measured when nothing else is asked for.
ROUNDS, ROUNDS_OF_SOCKETS = 5, 3


def main(arguments: list[str] | None = None) -> None:
    """Runs one benchmark. Raises DoesNotHold."""
    options = read_options(arguments)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lealife.settings")
    ensure_database_url()
    django.setup()
    if options.name == "answers":
        from benchmarks.answers import measure_answers

        report(measure_answers(names=options.site, log=options.log), as_json=options.json)
    elif options.name == "curriculum":
        from benchmarks.curriculum import measure_curriculum

        for site in options.site:
            found = measure_curriculum(name=site, pages=options.pages, seed=options.seed, shown=options.shown)
            report(found, as_json=options.json)
    elif options.name == "ranking":
        from benchmarks.ranking import measure_ranking

        report(measure_ranking(), as_json=options.json)
    elif options.name == "learning":
        from benchmarks.learning import measure_learning

        found = measure_learning(name=options.site, candidates=options.candidates, minutes=options.minutes)
        report(found, as_json=options.json)
    elif options.name == "chaos":
        from benchmarks.chaos.command import run_chaos

        seed, measurements = run_chaos(kills=options.kills, workers=options.workers or 6, seed=options.seed)
        report(measurements, as_json=options.json, note=f" Seed {seed}.")
    elif options.name == "idle":
        from benchmarks.idle import measure_idle

        report(measure_idle(minutes=options.minutes), as_json=options.json)
    else:
        report(measure(options), as_json=options.json)


def read_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = parser.add_subparsers(dest="name", required=True, metavar="NAME")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        one = names.add_parser(name, help=text, description=text)
        one.add_argument("--json", action="store_true", help="One line a claim instead of a table.")
        return one

    for name, text in {
        "claims": "Full cycles a second, by one process and by several; size: cycles of a load.",
        "counted": "Counted against plain inserts; size: inserts of one client.",
        "degradation": "Full cycles with a long history; size: finished cycles in it.",
        "gate": "The gate's error rates and power, by simulation through the decision code; size: lifetimes.",
        "lists": "The lists of admin and searches in them with a long history; size: its outcomes.",
        "snapshot": "Looks at the pages with a short history and with a long one; size: outcomes of the long one.",
        "retrieval": "Searches of one large host, by words and with vectors; size: its passages.",
        "sockets": "Many sockets under a load of commits; size: sockets.",
        "prefix": "Two evaluations on the real model in one memory snapshot; size: pairs of each.",
        "vectors": "Passages embedded, their memory, and a chat next to them; size: passages.",
    }.items():
        one = add(name, text)
        one.add_argument("--seed", type=int, default=1)
        one.add_argument("--size", type=int, default=0, help="How much of the load; 0 is the full size.")
        rounds = ROUNDS_OF_SOCKETS if name == "sockets" else ROUNDS
        one.add_argument("--rounds", type=int, default=rounds, help="How often each load is measured, in turn.")
        one.add_argument("--workers", type=int, default=4, help="Processes of a load of several.")
    text = "Natural questions about manuals of Debian's packages, asked of the agent on the real models."
    answers = add("answers", text)
    answers.add_argument("--site", choices=SITES, nargs="+", default=SITES, help="Which manuals; all when left out.")
    answers.add_argument(
        "--log", type=Path, help="A file for one line of JSON a question: what was asked and answered."
    )
    text = "The tasks that are made of a manual, by kind, and how many of them have exactly one right page."
    curriculum = add("curriculum", text)
    curriculum.add_argument("--site", choices=SITES, nargs="+", default=SITES, help="Which manuals; all when left out.")
    curriculum.add_argument("--pages", type=int, default=0, help="How many pages are read; 0 for all of them.")
    curriculum.add_argument("--seed", type=int, default=15, help="Which tasks are checked.")
    curriculum.add_argument("--shown", type=int, default=3, help="How many questions of each kind are shown.")
    add("ranking", "How far words, vectors and fitted weights carry the same questions, with no model that picks.")
    text = "Trains on a manual until a candidate wins, and measures what that was worth on tasks that decided nothing."
    learning = add("learning", text)
    learning.add_argument("--site", choices=SITES, required=True)
    learning.add_argument("--candidates", type=read_count, default=5, help="How many may be judged.")
    learning.add_argument("--minutes", type=read_count, default=90, help="The longest it may take.")
    idle = add("idle", "Starts a whole stack on data of its own, stops training, and measures what it uses while idle.")
    idle.add_argument("--minutes", type=read_count, default=10, help="How long it is watched.")
    text = "Kills workers and coordinators under load, in a database of its own, and audits what is left."
    chaos = add("chaos", text)
    chaos.add_argument("--kills", type=read_count, default=200, help="How many SIGKILLs.")
    chaos.add_argument("--workers", type=read_count, default=6, help="Worker processes at a time.")
    chaos.add_argument("--seed", type=int, help="Decides who is killed and when; random when left out.")
    return parser.parse_args(arguments)


def read_count(text: str) -> int:
    """A whole number from 1 to 100,000."""
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to 100,000")
    return int(text)


def measure(options: argparse.Namespace) -> list[Measurement]:
    """The measurements of one benchmark. Each is imported when it is asked for: they need different packages."""
    size = options.size
    match options.name:
        case "gate":
            from benchmarks.gate import run_claims

            return run_claims(seed=options.seed, lifetimes=size or 10_000)
        case "prefix":
            from benchmarks.prefix import PAIRS, measure_prefix

            return measure_prefix(pairs=size or PAIRS)
        case "vectors":
            from benchmarks.vectors import PASSAGES, measure_vectors

            return measure_vectors(rounds=options.rounds, passages=size or PASSAGES)
    return measure_load(options)


def measure_load(options: argparse.Namespace) -> list[Measurement]:
    """The measurements of one load of the database."""
    size, rounds = options.size, options.rounds
    match options.name:
        case "claims":
            from benchmarks.claims import measure_claims

            return measure_claims(rounds=rounds, workers=options.workers, size=size or 1_000)
        case "counted":
            from benchmarks.counted import INSERTS, measure_counted

            return measure_counted(inserts=size or INSERTS, rounds=rounds)
        case "degradation":
            from benchmarks.degradation import FINISHED, measure_degradation

            finished = size or FINISHED
            return measure_degradation(finished=finished, leased=finished // 20, rounds=rounds)
        case "lists":
            from benchmarks.lists import FINISHED as OUTCOMES
            from benchmarks.lists import measure_lists

            return measure_lists(finished=size or OUTCOMES, rounds=rounds)
        case "snapshot":
            from benchmarks.snapshot import LONG, measure_snapshots

            return measure_snapshots(finished=size or LONG, rounds=rounds)
        case "retrieval":
            from benchmarks.retrieval import PASSAGES as SEARCHED
            from benchmarks.retrieval import measure_retrieval

            return measure_retrieval(passages=size or SEARCHED, rounds=rounds)
        case "sockets":
            from benchmarks.sockets import SOCKETS, measure_sockets

            return measure_sockets(sockets=size or SOCKETS, rounds=rounds)
    raise AssertionError(f"argparse lets no other name through: {options.name}")


if __name__ == "__main__":
    try:
        main()
    except (DoesNotHold, RuntimeError) as error:
        sys.exit(str(error))
