"""Executions: their life, queue, steps, sends and outcomes."""
