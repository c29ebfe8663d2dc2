"""Model, ModelGeneration and TrainingSchedule: the improvement loop."""
