"""The API: routers, authentication and limits put together."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET
from ninja import NinjaAPI, Router
from ninja.openapi.schema import OpenAPISchema

from lealife.api import definitions, health, promotion, tasks, training
from lealife.api.idempotency import PARAMETER, answer_once
from lealife.api.problems import CONTENT_TYPE, add_problem_handlers
from lealife.api.rendering import JsonRenderer
from lealife.api.throttle import CallerThrottle
from lealife.auth import allow
from lealife.core.errors import NotFound

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
REQUESTS_PER_MINUTE = 600


class Api(NinjaAPI):
    """The API. Its OpenAPI document also has the header that every POST takes, and the media type of problems."""

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        """The OpenAPI document."""
        schema = super().get_openapi_schema(**options)
        for item in schema["paths"].values():
            for method, operation in item.items():
                if method == "post":
                    operation.setdefault("parameters", []).append(PARAMETER)
                for status, answer in operation["responses"].items():
                    if int(status) >= HTTPStatus.BAD_REQUEST:
                        answer["content"] = {CONTENT_TYPE: answer["content"]["application/json"]}
        return schema


api = Api(
    title="LeaLife",
    version="1",
    description="Runs web-navigating agents on local Ollama models, and makes them better while they work.",
    urls_namespace="api",
    renderer=JsonRenderer(),
    auth=allow(None),
    # Without this limit the document and its page would answer every method.
    docs_decorator=lambda view: csrf_exempt(require_GET(view)),
    throttle=[CallerThrottle(limit=REQUESTS_PER_MINUTE, period_s=60)],
)
add_problem_handlers(api)
api.add_decorator(answer_once)
api.add_router("/tasks", tasks.router)
api.add_router("/training/definitions", definitions.router)
api.add_router("/training", training.router)
api.add_router("/models", promotion.router)
api.add_router("/health", health.router)


@api.get("/", auth=None, include_in_schema=False)
def show_documentation(request: HttpRequest) -> HttpResponseRedirect:
    """Redirects to the documentation."""
    return HttpResponseRedirect(reverse("api:openapi-view"))


# Last: an address that no router knows gets a problem, not a web page.
elsewhere = Router()


@elsewhere.api_operation(METHODS, "/{path:rest}", auth=None, include_in_schema=False, url_name="nowhere")
def refuse_unknown_address(request: HttpRequest, rest: str) -> None:
    """No such address."""
    raise NotFound(f"There is nothing at {request.path}.")


api.add_router("", elsewhere)
