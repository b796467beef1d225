from django.apps import AppConfig


class PromotionConfig(AppConfig):
    """The app of trust: model tags, evaluations, canaries, live applies."""

    name = "promotion"
    verbose_name = "Promotion"
