"""Prompts for sale: drafts, versions, prices and readiness."""
