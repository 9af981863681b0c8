"""What analysts see: the SQL session, its output, reports, differences of releases."""
