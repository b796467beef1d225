"""Every address of LeaLife: pages, API, admin, signing in."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponseRedirect
from django.templatetags.static import static
from django.urls import include, path

from lealife.api.root import api


def show_icon(request: HttpRequest) -> HttpResponseRedirect:
    """Every browser asks for this address on a page that names no icon of its own."""
    return HttpResponseRedirect(static("favicon.svg"))


urlpatterns = [
    path("", include("lealife.dashboard.urls")),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("api/", api.urls),
    path("favicon.ico", show_icon),
]
