"""Benchmarks: claims about the product, measured through its own functions (`manage.py bench NAME`)."""
