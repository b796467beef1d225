from django.apps import AppConfig


class PromotionConfig(AppConfig):
    """What is trusted: model tags, evaluations, canaries, live applies."""

    name = "promotion"
    verbose_name = "Promotion"
