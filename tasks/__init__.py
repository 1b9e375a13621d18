"""Retries and timeouts: a task is its decorator and one call into core."""
