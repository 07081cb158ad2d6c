"""Fine-tuning a pretrained vision transformer (Table 1)."""
