"""From rows to the agent's frozen values, and the checks that every task definition passes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from lealife.core.digest import canonical_json
from lealife.core.errors import InvalidInput, NotFound
from training.agent.schema import check_schema
from training.agent.task import PAGES_MAX, SuccessCheck, Task
from training.agent.web.address import canonical_url, is_same_site
from training.models import Host, Run
from training.models.sources import PRIORITY_MAX, PRIORITY_MIN

PROMPT_MAX = 20_000
# A prompt that names its host by an address does so early.
ADDRESSES_MAX = 20
# What a sentence puts around an address.
AROUND_ADDRESS = "()[]<>{}\"'“”‘’«»,.;:!?"


def clean_text(text: str) -> str:
    """The text, stripped, without what Postgres cannot hold: NUL, and halves of surrogate pairs become “?”."""
    return text.replace("\x00", "").encode(errors="replace").decode().strip()


def check_prompt(prompt: str) -> str:
    """The prompt, stripped. Raises InvalidInput when empty or longer than 20,000 characters."""
    cleaned = clean_text(prompt)
    if not cleaned:
        raise InvalidInput("The prompt is empty. Write what to find out.", field="prompt")
    if len(cleaned) > PROMPT_MAX:
        raise InvalidInput(f"The prompt has {len(cleaned):,} characters; {PROMPT_MAX:,} are allowed.", field="prompt")
    return cleaned


def check_pages_target(pages_target: int | None) -> int | None:
    """The pages target, 1–50, or None for the default."""
    if pages_target is not None and not is_whole(pages_target, least=1, most=PAGES_MAX):
        raise InvalidInput(f"A pages target must be 1–{PAGES_MAX}, not {pages_target!r}.", field="pages_target")
    return pages_target


def check_priority(priority: int) -> int:
    """The priority, −100–100, higher first."""
    if not is_whole(priority, least=PRIORITY_MIN, most=PRIORITY_MAX):
        raise InvalidInput(f"A priority must be {PRIORITY_MIN}–{PRIORITY_MAX}, not {priority!r}.", field="priority")
    return priority


def is_whole(value: object, *, least: int, most: int) -> bool:
    """Whether a value is a whole number within bounds. To Python True is 1; to an operator it is a mistake."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def check_success_check(check_spec: dict[str, Any] | None, *, host: Host | None = None) -> dict[str, Any]:
    """The success check as JSON, every part of it understood, and its addresses such as a run on `host` can visit.

    Raises InvalidInput otherwise.
    """
    try:
        check = SuccessCheck.from_json(check_spec or {})
        cleaned = check.to_json()
        if host is not None:
            _check_reachable(check.expected_urls, host=host)
        # Unlike a prompt a check must not be changed in silence. An escaped backslash before “u0000” is none.
        if b"\\u0000" in canonical_json(cleaned).replace(b"\\\\", b""):
            raise ValueError("it holds a NUL character")
        return cleaned
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidInput(f"The success check cannot be used: {error}.", field="check") from None


def bind_answer(check_spec: dict[str, Any] | None, *, answer_schema: dict[str, Any] | None) -> dict[str, Any]:
    """The success check, with the JSON schema that the answer is written to; None binds nothing.

    Raises InvalidInput for a schema that cannot be used, and when the check has another one.
    """
    check = check_spec or {}
    if answer_schema is None:
        return check
    try:
        check_schema(answer_schema)
        if not answer_schema:
            raise ValueError("it is empty")
        if check.get("json_schema", answer_schema) != answer_schema:
            raise ValueError("the success check has another json_schema")
    except ValueError as error:
        raise InvalidInput(f"The answer schema cannot be used: {error}.", field="answer_schema") from None
    return {**check, "json_schema": answer_schema}


def _check_reachable(urls: Iterable[str], *, host: Host) -> None:
    site = host.as_site()
    for url in urls:
        # Raises ValueError for what is no address of the web.
        if not is_same_site(canonical_url(url), site=site):
            raise ValueError(f"{url[:100]} is not on {host.name}, and a run visits only pages of its host")


def check_page(url: str, *, host: Host, field: str) -> str:
    """The canonical address of a page of the host; empty when none is given.

    Raises InvalidInput for one that no run on the host can visit.
    """
    cleaned = clean_text(url)
    if not cleaned:
        return ""
    try:
        _check_reachable([cleaned], host=host)
        return canonical_url(cleaned)
    except ValueError as error:
        raise InvalidInput(f"The address cannot be used: {error}.", field=field) from None


def find_host(host: Host | str | None, *, prompt: str = "") -> Host:
    """The host row that a name, a URL or the prompt's own URL means; the only one in use when nothing says.

    Raises NotFound for an unknown host and InvalidInput when it is archived or no host can be chosen: a prompt
    whose addresses are all on unknown hosts is not sent to another host.
    """
    found: Host | None
    if host:
        found = find_named_host(host)
    else:
        found = _find_host_in(prompt)
        if found is None:
            enabled = list(Host.objects.filter(enabled=True)[:2])
            if len(enabled) != 1:
                raise InvalidInput("Name a host: there is no host yet, or more than one.", field="host")
            found = enabled[0]
    if not found.enabled:
        raise InvalidInput(f"Host {found.name} is archived.", field="host")
    return found


def find_named_host(host: Host | str) -> Host:
    """The host row that a name or a URL means, archived or not. Raises NotFound."""
    if isinstance(host, Host):
        return host
    name = clean_text(host)
    found = Host.objects.filter(name__iexact=name).first() or _hosts_by_network().get(_read_network(name))
    if found is None:
        raise NotFound(f"There is no host {name!r}. Staff can add it in admin, under Hosts.", field="host")
    return found


def _find_host_in(prompt: str) -> Host | None:
    """The host of the first address in the prompt that belongs to one; None for a prompt without addresses.

    Raises InvalidInput when none of them does.
    """
    addresses = [word.strip(AROUND_ADDRESS) for word in prompt.split() if "://" in word][:ADDRESSES_MAX]
    networks = [network for word in addresses if (network := _read_network(word))]
    if not networks:
        return None
    hosts = _hosts_by_network()
    for network in networks:
        if network in hosts:
            return hosts[network]
    raise InvalidInput(
        f"{networks[0][:100]} is on no known host. Name the host to visit, or let staff add it in admin, under Hosts.",
        field="host",
    )


def _hosts_by_network() -> dict[str, Host]:
    """Every host by the network names it answers to; of two that claim one name one in use has it, then the older."""
    known: dict[str, Host] = {}
    for row in Host.objects.order_by("-enabled", "id"):
        for name in (urlsplit(row.base_url).netloc, *row.aliases):
            known.setdefault(name.lower(), row)
    return known


def _read_network(text: str) -> str:
    try:
        return urlsplit(text if "://" in text else f"//{text}").netloc.lower()
    except ValueError:
        # A prompt may hold anything that looks like an address: “http://[” is none.
        return ""


def build_task(run: Run) -> Task:
    """The frozen task that the agent is given for `run`."""
    return Task(
        prompt=run.prompt,
        site=run.host.as_site(),
        check=SuccessCheck.from_json(run.check_spec),
        pages_target=run.pages_target,
        max_calls=run.max_calls,
    )
