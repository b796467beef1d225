from django.apps import AppConfig


class LeaLifeConfig(AppConfig):
    """Shown and steered: pages, API, pipeline."""

    name = "lealife"
    verbose_name = "LeaLife"
