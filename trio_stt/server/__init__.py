"""What sessions share: settings in force, session registry, admission, drain, reports, recordings."""
