"""Monitor data in, decisions out: health, anomalies, market regimes, how many agents, which version. Pure, no I/O.

| module | question |
|---|---|
| `health`, `actions` | how is an agent, and what does a fleet's health call for? |
| `anomalies` | does a value belong to what came before? |
| `regimes` | in what state is the market? |
| `demand`, `panic`, `schedule`, `feasibility`, `autoscaler` | how many agents, and why? |
| `replay`, `replay_policies` | what would a policy have cost on a recorded load? |
| `canary_counts`, `traffic_split` | how many agents stand for a version's weight, and which version gets a task? |
| `sequential` | is the new version worse? |
| `verdicts`, `mann_whitney`, `classification`, `scoring` | what do the judges of others say of a version? |
| `hpa` | the rules of Kubernetes' autoscaler |
| `cost` | what does a sandbox cost? |
"""
