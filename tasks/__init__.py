"""The policy: retries and timeouts. A task is its decorator and one call into core."""
