"""One Hydra app per experiment; each turns a configuration into saved runs."""
