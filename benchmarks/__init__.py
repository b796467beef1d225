"""Benchmarks: claims about the product, measured through its own functions (`python -m benchmarks NAME`)."""
