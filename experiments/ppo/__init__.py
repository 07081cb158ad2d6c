"""An actor-critic under PPO (Figure 3)."""
