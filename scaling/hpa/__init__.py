"""The horizontal pod autoscaler of Kubernetes, rule by rule, as pure functions.

The rules are those of autoscaling/v2 in kubernetes/kubernetes, `pkg/controller/podautoscaler` (Apache-2.0),
read and written anew. Two names differ in one respect: a "replica" here is whatever is counted, one agent
in one sandbox for us, and every function is handed ages or `now` instead of reading a clock.

| module | stage |
|---|---|
| `grouping` | which members count, and as what |
| `calculator` | one metric to one proposed count |
| `stabilisation` | a proposal against the proposals of the recent past |
| `behavior` | how far a count may move in a period, and the bounds |
"""
