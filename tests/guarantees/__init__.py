"""What trimcp guarantees, each promise with the experiment that shows it.

The servers are real processes (`programs/`) or real connections, and they are driven from
outside, with raw lines: nothing of trimcp's own client hides what is on the wire. No test
sleeps to be right. What a test waits for is an event (a line, the end of a stream, the end of
a process), and every deadline in here is only the bound after which the promise counts as broken.
"""
