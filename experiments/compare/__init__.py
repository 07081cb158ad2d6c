"""Our optimizers compared with other people's."""
