"""`python -m normalgen` is `normalgen`."""

from normalgen.cli import main

main()
