"""The agent: `navigate(task, brain, browser, model)` returns a `Trajectory`. It uses no database."""
