"""Monitor data in, decisions out: budgets today; health, autoscaling and rollouts as they come. Pure, no I/O."""
