#!/usr/bin/env python
"""LeaLife's commands in a checkout; an installed package has the same as `lealife`."""

from lealife.__main__ import main

if __name__ == "__main__":
    main()
