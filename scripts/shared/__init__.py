"""What the scripts of all figures and tables share."""
