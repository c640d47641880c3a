"""Federated jobs: a computation goes to the hospitals where the data stays, and only checked numbers come back.

`contracts` says what travels between the session, the hub and the sites; `tasks` what may be computed; `site` is the agent
that a hospital installs; `jobs` is the session's client and `launch` its form.
"""
