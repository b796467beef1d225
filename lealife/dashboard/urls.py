"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

from lealife.dashboard.ask import views as ask
from lealife.dashboard.candidates import views as candidates
from lealife.dashboard.home import views as home
from lealife.dashboard.live import views as live
from lealife.dashboard.runs import views as runs
from lealife.dashboard.training import actions
from lealife.dashboard.training import views as training

urlpatterns = [
    path("", home.show_home, name="dashboard"),
    path("training/", training.show_training, name="training"),
    path("training/actions/start/", actions.start, name="start_training"),
    path("training/actions/stop/", actions.stop, name="stop_training"),
    path("training/actions/queue/", actions.queue, name="queue_source"),
    path("training/actions/check/", ask.say_check, name="say_check"),
    path("training/sources/<int:source_id>/actions/<slug:action>/", actions.change_source, name="change_source"),
    path("training/definitions/actions/queue/", actions.queue_preset, name="queue_preset"),
    path(
        "training/campaigns/<int:campaign_id>/actions/<slug:action>/", actions.change_campaign, name="change_campaign"
    ),
    path("training/settings/actions/preview/", actions.preview_settings, name="preview_settings"),
    path("training/settings/actions/apply/", actions.apply_draft, name="apply_draft"),
    path("training/settings/actions/<slug:action>/", actions.move_draft, name="move_draft"),
    path("training/sources/", training.list_sources, name="sources"),
    path("training/candidates/<int:evaluation_id>/", candidates.show_candidate, name="candidate"),
    path("training/promotion/<slug:action>/", candidates.steer, name="steer_promotion"),
    path("tasks/new/", ask.make_task, name="make_task"),
    path("runs/", runs.list_runs, name="runs"),
    path("runs/<int:run_id>/", runs.show_run, name="run"),
    path("runs/<int:run_id>/pages/<slug:digest>/", runs.show_frozen_page, name="frozen_page"),
    path("runs/<int:run_id>/actions/<slug:action>/", runs.act_on_run, name="act_on_run"),
    path("live/<slug:key>/", live.poll_page, name="poll_page"),
]
