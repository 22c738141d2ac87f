"""From a spec to an accepted application: its files, its secrets, its ledger entry."""
