"""The tasks that a job can ask for. A site runs these and nothing else: code never travels."""

from cohortlab.federation.tasks.registry import TASKS, TaskInfo, task

__all__ = ["TASKS", "TaskInfo", "task"]
