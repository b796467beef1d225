"""Who acts and what they may do. Every action checks this, whether page, API, admin or command called it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast

from lealife.core.errors import Forbidden

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, a key or the product itself: its name in the audit log and its Django permissions (`app.codename`)."""

    name: str
    permissions: frozenset[str] = frozenset()
    may_everything: bool = False

    def __str__(self) -> str:
        return self.name

    def may(self, permission: str) -> bool:
        """Whether they hold the permission."""
        return self.may_everything or permission in self.permissions

    def require(self, permission: str) -> None:
        """Raises Forbidden, naming the permission, when they do not hold it."""
        if not self.may(permission):
            raise Forbidden(explain_refusal(self.name, permission), permission=permission)


class Action(Protocol, Generic[P, R]):
    """A function that changes something, with the permission it needs."""

    permission: str
    __name__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...


# Every action by its dotted name, filled as modules are imported. The tests' table of permissions must cover them.
ACTIONS: dict[str, Action[..., Any]] = {}


def requires(permission: str) -> Callable[[Callable[P, R]], Action[P, R]]:
    """Makes a function with the argument `by` an action: it runs only for an Actor who holds `permission`.

    The action raises Forbidden without it, and TypeError when `by` is not an Actor: a bare name has no rights.
    """

    def decorate(function: Callable[P, R]) -> Action[P, R]:
        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            by = kwargs.get("by")
            if not isinstance(by, Actor):
                raise TypeError(f"{function.__name__} needs an Actor as `by`, not {by!r}.")
            by.require(permission)
            return function(*args, **kwargs)

        action = cast("Action[P, R]", checked)
        action.permission = permission
        ACTIONS[f"{function.__module__}.{function.__name__}"] = action
        return action

    return decorate


def explain_refusal(name: str, permission: str) -> str:
    """`ann may not start training: it needs the permission training.start_training.`"""
    codename = permission.partition(".")[2]
    return f"{name} may not {codename.replace('_', ' ')}: it needs the permission {permission}."


def read_user(user: Any) -> Actor:
    """A Django user as they are now. Superusers may do everything, inactive users nothing."""
    if not user.is_active:
        return Actor(user.get_username())
    if user.is_superuser:
        return Actor(user.get_username(), may_everything=True)
    return Actor(user.get_username(), permissions=frozenset(user.get_all_permissions()))


def read_actor(request: Any) -> Actor:
    """The signed-in user as an actor."""
    return read_user(request.user)


def command_line(name: str) -> Actor:
    """The person who runs a manage.py command. They have the database's password, so they may do everything."""
    return Actor(name, may_everything=True)


def system(name: str) -> Actor:
    """The product itself, for work such as `schedule` that no request triggers."""
    return Actor(name, may_everything=True)
