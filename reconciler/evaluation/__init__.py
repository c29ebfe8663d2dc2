"""EvaluationSuite: metrics, the gate, and the run that judges a candidate."""
