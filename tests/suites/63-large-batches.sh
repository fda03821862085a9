# what: batches of 1 MB from three real producers and 400 connections, with the default journal and a tiny one: acknowledgements never stop, SIGTERM at any moment ends the broker within 5 s
# modes: full
# limit: 600
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste
counted python3 tests/large_batches/run.py --seconds 60 --tiny-seconds 15 --stops 10
finish
