"""A film in other forms: a sheet of small pictures to scrub by, smaller sizes, a ladder to stream."""
