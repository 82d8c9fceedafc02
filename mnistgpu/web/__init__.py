"""Local pages: one to draw a digit and see the answer, one to watch a network learn.

They need the extra `web` (starlette and uvicorn); nothing else in the package does.
"""
