"""Ways to submit to a cluster, behind one interface."""
