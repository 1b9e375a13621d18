"""Serve HTTP: the front door for buyers, creators and operators."""
