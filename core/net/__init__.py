"""Talk to other servers: HTTP connections, JSON requests, circuit breakers."""

__all__ = ("addresses", "circuit_breaker", "http", "json_client", "strict_json")
