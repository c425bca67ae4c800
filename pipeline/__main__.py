"""`python -m pipeline` is `watchword`."""

from pipeline.cli import main

main()
