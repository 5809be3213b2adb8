"""The parts of the report's page: its template, style, script, and the rule for what a cell may show."""
