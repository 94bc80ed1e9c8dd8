"""Studies: many fits by one protocol, their scores and figures; ``pyro-lcm benchmark`` runs them."""
