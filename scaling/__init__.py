"""Monitor data in, decisions out: health, anomalies, market regimes, how many agents, which version. Pure, no I/O.

| module | question |
|---|---|
| `health`, `actions` | how is an agent, and what does a fleet's health call for? |
| `anomalies` | does a value belong to what came before? |
| `regimes` | in what state is the market? |
| `demand`, `panic`, `schedule`, `feasibility`, `autoscaler` | how many agents, and why? |
| `canary_counts` | how many agents of each version stand for a weight? |
| `verdicts`, `mann_whitney`, `classification`, `scoring` | what do the judges of others say of a version? |
| `hpa` | the rules of Kubernetes' autoscaler |
| `cost` | what does a sandbox cost? |
"""
