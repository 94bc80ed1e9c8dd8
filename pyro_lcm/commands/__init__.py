"""The subcommands of ``pyro-lcm``, a module each.

A module has ``Options``, a frozen dataclass whose fields are the options and whose docstring is their help;
``POSITIONAL``, the names of the fields that are given by place; and ``run(options)``, which returns the exit
code and raises ValueError or OSError on bad input.
"""
