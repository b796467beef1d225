"""How soon a model's answer is wanted, as RFC 9218 counts it: the lowest number comes first."""

from __future__ import annotations

from enum import IntEnum


class Urgency(IntEnum):
    """Sent with each call in the `Priority` header. Ollama itself takes no notice; the embedded server does."""

    # What a request has that says nothing.
    PERSON = 3
    TRAINING = 5
    BACKGROUND = 7
