"""Many deferred tasks in one triggerer: what they cost it, and what they cost the server that they ask."""
