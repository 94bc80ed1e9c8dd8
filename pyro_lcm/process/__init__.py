"""What belongs to the process: generators, locks and handlers, the first of several, and workers of its own."""
