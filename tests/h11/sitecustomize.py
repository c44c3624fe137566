"""Where this directory is on Python's path, servers read HTTP/1.1 with h11.

So they do where httptools is not installed. It holds for the tests' process and for the programs
that they start.
"""

try:
    from trimcp.http import _hosting
    from trimcp.http._http1._h11 import H11Parser
except ImportError:
    # An environment of another library.
    pass
else:
    _hosting.fastest_parser = lambda: H11Parser
