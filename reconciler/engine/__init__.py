"""The loop itself: work queue, plans, conditions, API client, kopf shell."""
