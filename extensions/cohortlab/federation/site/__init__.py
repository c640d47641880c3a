"""The agent that a hospital installs: it fetches tickets, decides by its own policy, and lets only checked numbers out."""
