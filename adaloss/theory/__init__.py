"""What the paper's theorems and the quantities in them say in numbers: kernels, bounds, constants."""
