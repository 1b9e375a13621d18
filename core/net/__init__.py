"""Talk to other servers: HTTP connections, JSON requests, circuit breakers, event streams."""

__all__ = ("addresses", "circuit_breaker", "event_stream", "http", "json_client", "strict_json", "unreachable")
