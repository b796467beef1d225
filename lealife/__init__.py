"""Pages, API, pipeline and commands: what shows and steers the product."""

__version__ = "0.1.0"
