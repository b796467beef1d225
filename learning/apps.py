from django.apps import AppConfig


class LearningConfig(AppConfig):
    """What was learned: memory and curriculum."""

    name = "learning"
    verbose_name = "Learning"
