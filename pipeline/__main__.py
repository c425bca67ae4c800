"""`python -m pipeline` is `watchword`."""

from pipeline.entry import main

main()
