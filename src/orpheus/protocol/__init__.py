"""The shapes on the wire, shared by server, worker, client and command line. msgspec structs: what decodes is what is
documented."""
