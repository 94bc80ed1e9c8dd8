"""How each family of models is trained: what is initialised how, and which phases of the driver follow."""
