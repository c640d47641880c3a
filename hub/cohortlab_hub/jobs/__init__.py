"""Federated jobs: submitted by people, fetched by sites as signed tickets, finished when enough sites have released."""
