"""Which environment variables the code reads, found in its source."""

from __future__ import annotations

import ast
import re

from lealife.core.places import BASE_DIR

FOLDERS = ("training", "learning", "promotion", "lealife")
# These belong to other programs: Django, libpq, the shell, OpenMP.
NOT_OURS = {"DJANGO_SETTINGS_MODULE", "PGDATABASE", "PATH", "OMP_WAIT_POLICY"}
READER = re.compile(r"(^|\.)(read_\w+|env|env\.\w+|environ\.get|environ\.pop)$")
NAME = re.compile(r"[A-Z][A-Z_]{3,}")


def read_variables() -> dict[str, str | None]:
    """Each variable that the product reads, with its default where that is a plain number, switch or word."""
    found: dict[str, str | None] = {}
    for folder in FOLDERS:
        for path in sorted((BASE_DIR / folder).rglob("*.py")):
            tree = ast.parse(path.read_text())
            constants = _read_constants(tree)
            for node in ast.walk(tree):
                name, default = _read_variable(node, constants)
                if name and name not in NOT_OURS:
                    found[name] = found.get(name) or default
    return found


def _read_constants(tree: ast.Module) -> dict[str, str]:
    """Module-level names of texts."""
    return {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }


def _read_variable(node: ast.AST, constants: dict[str, str]) -> tuple[str, str | None]:
    """Name and default of the variable that this expression reads; an empty name when it reads none."""
    default = None
    if isinstance(node, ast.Call) and node.args and READER.search(ast.unparse(node.func)):
        key = node.args[0]
        given = [*node.args[1:2], *(keyword.value for keyword in node.keywords if keyword.arg == "default")]
        default = _say_default(given[0]) if given else None
    elif isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("environ"):
        key = node.slice
    else:
        return "", None
    value = constants.get(key.id, "") if isinstance(key, ast.Name) else getattr(key, "value", "")
    return (value, default) if isinstance(value, str) and NAME.fullmatch(value) else ("", None)


def _say_default(node: ast.expr) -> str | None:
    """`30`, `0` for a switch that is off; None for what is worked out, or empty."""
    if not isinstance(node, ast.Constant) or node.value in ("", None):
        return None
    return str(int(node.value)) if isinstance(node.value, bool) else str(node.value)
