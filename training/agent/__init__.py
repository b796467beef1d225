"""The agent: `navigate(task, brain, browser, model)` gives a `Trajectory`. It knows no database."""
