"""Templates without their indentation: it is for those who read them, and a tenth of what every socket is sent."""

from __future__ import annotations

import re

from django.template.base import Origin
from django.template.loaders import filesystem

_INDENTATION = re.compile(r"\n\s+")


class Loader(filesystem.Loader):
    """The filesystem's templates, each line from its first letter on. What is rendered into them is left as it is."""

    def get_contents(self, origin: Origin) -> str:
        """The template's text."""
        return _INDENTATION.sub("\n", super().get_contents(origin))
