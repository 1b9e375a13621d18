"""Practice servers that speak the real protocols, for the demo and for the tests; no money and no model behind them."""
