"""What an error code means to whoever asked, and what can be done about it."""

from __future__ import annotations

from dataclasses import dataclass

from training.agent.errors import ErrorCode


@dataclass(frozen=True, slots=True)
class ErrorWords:
    """One sentence each."""

    meaning: str
    remedy: str


WORDS: dict[str, ErrorWords] = {
    ErrorCode.NO_ROUTE: ErrorWords(
        "No link on the pages it saw was left to follow before the answer was found.",
        "Ask with words that the site itself uses, or give a page target; training on this host makes more pages "
        "known.",
    ),
    ErrorCode.BUDGET_SPENT: ErrorWords(
        "All controller calls were used before the answer was found.",
        "Repeat it: memory has grown since. Staff can raise Controller Max Calls / Run.",
    ),
    ErrorCode.FETCH_FAILED: ErrorWords(
        "A page could not be fetched: the site did not answer, or answered with an error.",
        "Open the address yourself; when the site is back, repeat the run.",
    ),
    ErrorCode.BLOCKED_BY_POLICY: ErrorWords(
        "An address was refused, by the host's own entry or by LeaLife's guard.",
        "The sentence below says why. Staff can check the host's address in admin.",
    ),
    ErrorCode.NOT_HTML: ErrorWords(
        "The page was neither HTML nor plain text, so there was nothing to read.",
        "Ask for a page that says the same as text.",
    ),
    ErrorCode.TOO_LARGE: ErrorWords(
        "The page was larger than a run may read.",
        "Ask for a smaller page of the site that says the same.",
    ),
    ErrorCode.REDIRECT_LOOP: ErrorWords(
        "The site sent the run round in circles.",
        "Open the address yourself; often it wants a cookie or another base address.",
    ),
    ErrorCode.MODEL_UNAVAILABLE: ErrorWords(
        "No model server could serve the model, or no tag is active yet.",
        "See the dashboard's health; when the server is back, repeat the run.",
    ),
    ErrorCode.MODEL_INVALID: ErrorWords(
        "What the model was asked for, or what it wrote, could not be used.",
        "Read the error above: a schema may ask for more than fits. If it happens often, the model is too small.",
    ),
    ErrorCode.SERVED_OTHER_DIGEST: ErrorWords(
        "The model server answered with another model than routing claimed: the result proves nothing.",
        "See `manage.py tags` for what is wrong on which server; when the digests agree again, repeat the run.",
    ),
    ErrorCode.VERIFICATION_FAILED: ErrorWords(
        "It read pages, but the check of success did not hold on what it took from them.",
        "If an answer is right after all, say so and mend the check; if there is none, ask in words that the pages "
        "use.",
    ),
    ErrorCode.WORKER_LOST: ErrorWords(
        "The worker that executed it went away and stopped renewing its lease.",
        "Repeat it: nothing of the run was kept as evidence.",
    ),
    ErrorCode.TIMEOUT: ErrorWords(
        "The run took longer than it may.",
        "Repeat it when the machine is less busy, or ask for fewer pages.",
    ),
    ErrorCode.CANCELLED: ErrorWords("It was cancelled before its end.", "Repeat it if it is still wanted."),
    ErrorCode.INTERNAL_ERROR: ErrorWords(
        "Something broke inside LeaLife: this is a fault of ours.",
        "Repeat it; if it breaks again, the workers' log says where.",
    ),
}
# What the sentence of a blocked address says, and what that means: an alias helps against one of them only.
BLOCKED: dict[str, ErrorWords] = {
    "is outside of": ErrorWords(
        "The run was led to an address outside of its host.",
        "If the address belongs to the site, staff can list it among the host's aliases.",
    ),
    "egress guard": ErrorWords(
        "The guard refused to connect: the address is private, or its scheme or port is not the host's.",
        "If it is a site of your own network, staff can tick “may be private” for this host.",
    ),
    "robots.txt forbids": ErrorWords(
        "The site's robots.txt closes this address to programs, and LeaLife obeys it.",
        "Ask about a page that the site leaves open, or ask the site's owner to open this one.",
    ),
}
UNKNOWN = ErrorWords("This code is not known here.", "The sentence beside it is all that was recorded.")


def explain_error(code: str, *, sentence: str = "") -> ErrorWords | None:
    """The words for a code, and for a blocked address by its `sentence`; None without a code."""
    if code == ErrorCode.BLOCKED_BY_POLICY:
        for part, words in BLOCKED.items():
            if part in sentence:
                return words
    return WORDS.get(code, UNKNOWN) if code else None
