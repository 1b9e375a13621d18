"""Model providers: send a request, read the answer, tell what it cost or why it failed."""
