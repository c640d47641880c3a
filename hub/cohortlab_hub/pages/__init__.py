"""The hub's own pages beside JupyterHub's: datasets, grants, decisions, people, sessions, GPUs; and the language they are in.

Plain HTML forms, drawn by the server: they work by keyboard, without a script, under any base path, and JupyterHub's XSRF protection
covers each of them. What a page changes it changes by the same functions as the API and the command.
"""
