"""What clients ask first: versions, groups, resources, schemas."""
