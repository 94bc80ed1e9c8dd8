"""The subcommands of ``pyro-lcm``, a module each.

A module has ``Options``, a frozen dataclass whose fields are the options and whose docstring is their help;
``POSITIONAL``, the names of the fields that are given by place; and ``run(options)``, which returns the exit
code and raises ValueError or OSError on bad input.
"""

COMMANDS = {
    "demo": "Learn a latent causal model from simulated data, score it and draw it",
    "simulate": "Write simulated pairs of observations before and after an intervention, or sequences, with the truth",
    "train": "Fit a latent causal model to a file of pairs",
    "check": "Say without any truth whether a fit worked",
    "encode": "Write latents and intervention targets of a file of pairs",
    "evaluate": "Score a fit against the truth in a file of pairs",
    "graph": "Infer the posterior over graphs, of a fit or of a table of observed variables",
    "do": "Write what observations become when causal variables are set",
    "rename": "Give the causal variables of a fit other names",
    "benchmark": "Run a study over dimensions, data, seeds and methods",
    "completion": "Write a script that completes commands and options in a shell",
}
"""The subcommands, and what each is for in one line."""
