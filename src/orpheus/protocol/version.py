"""Which worker protocol is spoken. Server N serves workers of N and N-1."""

PROTOCOL = 1
OLDEST_PROTOCOL = 1
