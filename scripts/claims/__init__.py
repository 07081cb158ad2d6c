"""The claims of the paper: what they are, and how they are decided and listed."""
