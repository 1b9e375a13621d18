"""Practice servers for the demo and the tests: they speak the real protocols, without money or a model."""
