up *arguments: # Start LeaLife
    scripts/up {{arguments}}
test *arguments: # Run all tests, or those named
    scripts/test {{arguments}}
check: # Lint, format, types and migrations
    scripts/check
snapshots: # Rewrite what is made from the code: the reference and the OpenAPI document
    LEALIFE_WRITE_SNAPSHOTS=1 .venv/bin/python -m pytest tests/docs tests/api/test_openapi.py
shots *pages: # Take pictures of every page into .shots/
    .venv/bin/python -m tests.browser.shots {{pages}}
