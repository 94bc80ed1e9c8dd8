"""What the programs of structural causal models are made of: targets, solution functions, mechanisms, graphs."""
