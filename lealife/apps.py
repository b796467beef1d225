from django.apps import AppConfig


class LeaLifeConfig(AppConfig):
    """The app of the pages, the API and the pipeline."""

    name = "lealife"
    verbose_name = "LeaLife"
