"""Money: what is offered, who verified and settled it, and what the chain says came of it."""
