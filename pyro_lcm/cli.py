"""The command ``pyro-lcm``."""
