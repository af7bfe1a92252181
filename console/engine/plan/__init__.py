"""What is decided before anything is written: pure functions from facts to frozen values.

No I/O, no clock, no asyncio; nothing here changes its arguments. The shells
around it (actions, controller, volumes) read the facts, call, and carry out
exactly what came back.
"""
